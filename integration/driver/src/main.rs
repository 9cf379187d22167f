//! Static test and benchmark driver.

fn main() {}
