//! How fast the guard searches bodies: for 1, 16 and 256 values, in chunks of 1, 16
//! and 64 KiB, in prose, JSON, base64 and random bytes, and in a text made to be as
//! slow as can be.
//!
//! Each figure is the best of some passes over 32 MiB on one core. Beside them, in
//! the same run: copying the text, and looking for one byte that isn't in it. Start
//! it with `cargo xtask bench --only guard`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may panic"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use keyward_vault::Guard;

const TEXT_BYTES: usize = 32 << 20;
const PASSES: usize = 5;
const COUNTS: [usize; 3] = [1, 16, 256];
const CHUNKS: [usize; 3] = [1 << 10, 16 << 10, 64 << 10];
const VALUE_BYTES: [usize; 4] = [16, 24, 32, 43];

fn main() {
    let mut random = fastrand::Rng::with_seed(1);
    let values: Vec<String> = (0..COUNTS[2])
        .map(|index| {
            let length = VALUE_BYTES[index % VALUE_BYTES.len()];
            (0..length).map(|_| random.alphanumeric()).collect()
        })
        .collect();
    let near = near_misses(values[0].as_bytes());
    let texts = [
        ("prose", prose(&mut random)),
        ("JSON", json(&mut random)),
        ("base64", base64(&mut random)),
        ("random", bytes(&mut random)),
        ("near", near),
    ];

    println!("GiB/s, one core; values of 16, 24, 32 and 43 characters, the first has 16");
    println!("text    values   1 KiB    16 KiB   64 KiB   copy     one byte");
    for (name, text) in &texts {
        let copied = rate(|| {
            let mut copy = vec![0; 64 << 10];
            for chunk in text.chunks_exact(copy.len()) {
                black_box(&mut copy).copy_from_slice(black_box(chunk));
            }
        });
        let absent = rate(|| {
            // The texts have no byte of this value but random ones; those are
            // searched in chunks, so that a find ends little.
            for chunk in text.chunks(64 << 10) {
                black_box(chunk.iter().position(|byte| *byte == 0x07));
            }
        });
        for count in COUNTS {
            let borrowed: Vec<&[u8]> = values[..count].iter().map(String::as_bytes).collect();
            let guard = Guard::of_values(&borrowed);
            let rates = CHUNKS.map(|size| {
                let chunks = text.chunks(size).map(Bytes::copy_from_slice);
                let chunks: Vec<Bytes> = chunks.collect();
                rate(|| {
                    let mut stream = guard.stream(true);
                    for chunk in &chunks {
                        black_box(stream.push(chunk.clone()).unwrap());
                    }
                })
            });
            let [small, middle, large] = rates.map(|rate| format!("{rate:.2}"));
            println!(
                "{name:<7} {count:>6}   {small:<8} {middle:<8} {large:<8} {copied:<8.2} {absent:.2}"
            );
        }
    }
    for count in COUNTS {
        let borrowed: Vec<&[u8]> = values[..count].iter().map(String::as_bytes).collect();
        let start = Instant::now();
        black_box(Guard::of_values(&borrowed));
        println!("building for {count:>3}: {:?}", start.elapsed());
    }
}

/// GiB/s of the best pass.
fn rate(mut pass: impl FnMut()) -> f64 {
    let passes = (0..PASSES).map(|_| {
        let start = Instant::now();
        pass();
        start.elapsed()
    });
    let best = passes.min().unwrap_or(Duration::MAX);
    TEXT_BYTES as f64 / best.as_secs_f64() / f64::from(1 << 30)
}

fn filled(mut more: impl FnMut(&mut Vec<u8>)) -> Vec<u8> {
    let mut text = Vec::with_capacity(TEXT_BYTES + (1 << 16));
    while text.len() < TEXT_BYTES {
        more(&mut text);
    }
    text.truncate(TEXT_BYTES);
    text
}

fn prose(random: &mut fastrand::Rng) -> Vec<u8> {
    let words: Vec<String> = (0..5000)
        .map(|_| {
            (0..random.usize(1..11))
                .map(|_| random.lowercase())
                .collect()
        })
        .collect();
    filled(|text| {
        text.extend_from_slice(words[random.usize(..words.len())].as_bytes());
        text.push(b' ');
    })
}

fn json(random: &mut fastrand::Rng) -> Vec<u8> {
    filled(|text| {
        let (id, price) = (random.u64(..), random.u32(..));
        let line = format!("{{\"id\":\"{id:x}\",\"name\":\"an order\",\"price\":{price}}},");
        text.extend_from_slice(line.as_bytes());
    })
}

fn base64(random: &mut fastrand::Rng) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    filled(|text| text.push(ALPHABET[random.usize(..64)]))
}

fn bytes(random: &mut fastrand::Rng) -> Vec<u8> {
    filled(|text| text.extend_from_slice(&random.u64(..).to_le_bytes()))
}

/// All of a value but its last byte, again and again: what a backend would send to
/// keep the guard busy.
fn near_misses(value: &[u8]) -> Vec<u8> {
    filled(|text| text.extend_from_slice(&value[..value.len() - 1]))
}
