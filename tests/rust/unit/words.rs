//! The pass over words of two numbers against the pass over the numbers themselves, bit for bit.

use super::block::{BlockRows, Scaling};
use super::panel::{Panel, set_entry};
use crate::matrix::MatRef;
use crate::simd::{Level, Load};

/// Lines of a row: around a tile of products, and around the panels that an update holds.
const NLINES: [usize; 9] = [1, 2, 3, 5, 31, 32, 63, 65, 70];

/// Lines up to which a tile holds a row of words and of their numbers, which take twice as many panels.
const WITHIN_A_TILE: usize = 32;

/// Around the rows taken at a time, and the four that have an update of their own.
const NROWS: [usize; 7] = [1, 2, 3, 4, 7, 66, 130];

fn words(nrows: usize, nlines: usize) -> Vec<i32> {
    let mut state = (nrows * 31 + nlines) as u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state ^ state >> 13
    };
    (0..nrows * nlines * 16).map(|_| next() as i32).collect()
}

/// Of every sixteen words the numbers that are loaded.
fn numbers(words: &[i32]) -> Vec<f32> {
    let lines = words.as_chunks::<16>().0.iter();
    let both = lines.map(|line| [line.map(|w| w as f32), line.map(|w| (w << 16) as f32)]);
    both.flatten().flatten().collect()
}

fn pass<T: Load<f32, 16>, const B: usize>(
    level: Level,
    (data, nrows): (&[T], usize),
    x: &[Panel<B>],
    (back, far, lifted): (bool, bool, bool),
) -> Vec<Panel<B>> {
    let a = MatRef::from_slice(data, nrows, data.len() / nrows).unwrap();
    let mut z = vec![Panel::ZERO; x.len()];
    let half = 2.0_f32.powi(-16);
    let elements = lifted.then_some((half, 0.5));
    let scaling = Scaling { products: if lifted { 1.0 } else { half * half }, elements };
    let weights: Vec<f32> = (0..nrows).map(|i| 2.0_f32.powi(i as i32 % 5)).collect();
    let (t, lead, weights) = (&mut vec![[0.0; B]; nrows][..], 0, Some(&weights[..]));
    let (range, z_mut) = (0..nrows, &mut z[..]);
    level.run(BlockRows { a, range, x, lead, scaling, weights, back, far, t, z: z_mut });
    z
}

/// The largest difference, relative to the largest entry.
fn off<const B: usize>(x: &[Panel<B>], y: &[Panel<B>]) -> f32 {
    let entries = |x: &[Panel<B>]| -> Vec<f32> {
        x.iter().flat_map(|panel| panel.0.as_flattened().to_vec()).collect()
    };
    let largest = |x: Vec<f32>| x.into_iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    let differences = entries(x).into_iter().zip(entries(y)).map(|(x, y)| x - y).collect();
    largest(differences) / largest(entries(x))
}

fn check<const B: usize>() {
    for (nrows, nlines) in NROWS.iter().flat_map(|&m| NLINES.map(|n| (m, n))) {
        let words = words(nrows, nlines);
        let numbers = numbers(&words);
        let mut x = Panel::<B>::zeros(nlines * 32);
        for i in 0..nlines * 32 {
            set_entry(&mut x, i, std::array::from_fn(|c| ((c + 1) as f32 * i as f32).sin()));
        }
        for how in [(false, false, false), (true, true, false), (false, true, true)] {
            let first = Level::all()[0];
            let of_numbers = pass(first, (&numbers, nrows), &x, how);
            // Strips of words have more rows, and going back the order of the strips is that of the sums, as that of
            // the tiles is where there are several.
            let expected = match how.0 || nlines > WITHIN_A_TILE {
                false => of_numbers,
                true => {
                    let of_words = pass(first, (&words, nrows), &x, how);
                    assert!(off(&of_words, &of_numbers) < 1e-5, "{nrows} x {nlines}, {B}, {how:?}");
                    of_words
                }
            };
            for level in Level::all() {
                let got = pass(level, (&words, nrows), &x, how);
                assert!(got == expected, "{nrows} x {nlines}, {B}, {how:?}, {}", level.name());
            }
        }
    }
}

#[test]
fn words_give_the_bits_of_their_numbers() {
    check::<2>();
    check::<3>();
    check::<4>();
}
