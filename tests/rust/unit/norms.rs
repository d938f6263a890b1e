//! The short way to the norms of tiny matrices against the long one, bit for bit.

use super::{Entry, Norms};
use crate::algorithms::direct::{Eight, Shape};
use crate::simd::Level;

/// Eight matrices of the shape, each lane on a scale of its own.
fn filled(level: Level, nrows: usize, ncols: usize, spread: i32) -> Eight {
    let mut eight = Eight::new(level, Shape { nrows, ncols, copies: 1 });
    for (k, entry) in eight.entries_mut().iter_mut().enumerate() {
        for (lane, x) in entry.iter_mut().enumerate() {
            let digits = ((31 * k * k + 17 * lane + 5 * k * lane + 7) % 41) as f64 / 16.0 - 1.2;
            *x = digits * 2.0_f64.powi(spread * (lane as i32 - 4));
        }
    }
    eight
}

#[test]
fn norms_have_the_bits_of_a_solve() {
    for (nrows, ncols) in [(1, 1), (7, 1), (2, 2), (5, 2), (3, 3), (4, 3), (100, 3)] {
        for level in Level::all() {
            for spread in [0, 3, 100] {
                let mut eight = filled(level, nrows, ncols, spread);
                let short = eight.norms().expect("all lanes are ordinary");
                eight.solve();
                for (lane, x) in short.into_iter().enumerate() {
                    assert_eq!(Some(x), eight.sigma(lane), "{nrows} x {ncols}, lane {lane}");
                }
            }
        }
    }
}

#[test]
fn odd_lanes_and_more_columns_are_left_to_the_long_way() {
    let level = Level::all()[0];
    for odd in [0.0, f64::NAN, f64::INFINITY, 1e200, 1e-200] {
        let mut entries = vec![Entry::from([1.0; 8]); 9];
        entries.iter_mut().for_each(|entry| entry[6] = odd);
        assert_eq!(level.run(Norms { ncols: 3, entries: &entries }), None, "{odd}");
    }
    assert_eq!(level.run(Norms { ncols: 4, entries: &[[1.0; 8].into(); 16] }), None);
}
