# A small crate with a build script, tests and an example; no dependencies.
mkdir -p small/src/inner small/examples; cd small
printf '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\nbuild = "build.rs"\n' >Cargo.toml
cat >build.rs <<'END'
fn main() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    std::fs::write(out.join("made.rs"), "pub const MADE: u32 = 42;").unwrap();
    println!("cargo:rerun-if-changed=build.rs");
}
END
echo 'include!(concat!(env!("OUT_DIR"), "/made.rs")); pub mod inner;' >src/lib.rs
for ((i = 0; i < 6 * SCALE; i++)); do
    echo "pub fn f$i(x: u64) -> u64 { x.wrapping_mul($i + 3) }" >"src/inner/m$i.rs"; echo "pub mod m$i;" >>src/inner/mod.rs
done
echo '#[test] fn made() { assert_eq!(crate::MADE, 42); }' >>src/inner/mod.rs
echo 'fn main() { println!("{} {}", small::MADE, small::inner::m1::f1(5)); }' >src/main.rs
cp src/main.rs examples/shown.rs
"$CARGO" build --offline -q; echo "status $?"; target/debug/small
"$CARGO" build --offline 2>&1 | grep -cE 'Compiling'
sleep 0.05; echo 'fn main() { println!("changed {}", small::MADE); }' >src/main.rs; touch src/main.rs
"$CARGO" run --offline -q
if [ "$SCALE" -gt 1 ]; then "$CARGO" test --offline -q 2>&1 | grep -c 'test result: ok'; "$CARGO" run --offline -q --release --example shown; fi
echo 'fn main() { wrong }' >src/main.rs; "$CARGO" build --offline -q 2>&1 | grep -c 'cannot find value'
find target -type f | sed -E 's/-[0-9a-f]{16}//g' | grep -E '(small|made\.rs|CACHEDIR)' | sort -u | head -n 20
"$CARGO" clean --offline -q; [ -e target ] || echo "clean"
