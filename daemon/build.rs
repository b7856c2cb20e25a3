//! Packs the built browser dashboard (`web/dist`) into the daemon: every file as it is, and as gzip
//! and brotli where that is smaller. Without `web/dist` the list is empty and the daemon serves a
//! page that says what to run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let dist =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../web/dist");
    // A missing folder is watched through its parent, so that building the page later is noticed.
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        walk(&dist, &mut files);
        files.sort();
    }
    let mut list = String::from("&[\n");
    for (number, path) in files.iter().enumerate() {
        let name = path.strip_prefix(&dist).expect("walked from there");
        let name = name.to_str().expect("our own file names are UTF-8").replace('\\', "/");
        let plain = fs::read(path).expect("a built asset can be read");
        let gzip = smaller(gzip(&plain), &plain);
        let brotli = smaller(brotli(&plain), &plain);
        let include = |kind: &str, bytes: &[u8]| {
            let file = out.join(format!("asset-{number}.{kind}"));
            fs::write(&file, bytes).expect("OUT_DIR can be written");
            format!("include_bytes!({:?})", file.display().to_string())
        };
        let plain_expr = include("plain", &plain);
        let gzip_expr = gzip.map_or("None".into(), |b| format!("Some({})", include("gz", &b)));
        let brotli_expr = brotli.map_or("None".into(), |b| format!("Some({})", include("br", &b)));
        writeln!(
            list,
            "Asset {{ path: {name:?}, plain: {plain_expr}, gzip: {gzip_expr}, brotli: {brotli_expr}, \
             etag: \"\\\"{:016x}\\\"\" }},",
            fnv1a(&plain)
        )
        .expect("a string takes it");
    }
    list.push(']');
    fs::write(out.join("assets.rs"), list).expect("OUT_DIR can be written");
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("a built folder can be read") {
        let path = entry.expect("a built folder can be read").path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn smaller(packed: Vec<u8>, plain: &[u8]) -> Option<Vec<u8>> {
    (packed.len() + 64 < plain.len()).then_some(packed)
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).expect("a vector takes it");
    encoder.finish().expect("a vector takes it")
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 9, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &plain[..], &mut packed, &params).expect("a vector takes it");
    packed
}

/// FNV-1a, 64 bits: tells contents apart, protects nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
