//! What to do with a call: TOML in, decision out.
