//! The kernel of outer products against naive loops, on every tier.

use super::outer::{Outer, OuterKernels, ROWS, Sides};
use crate::simd::Level;

fn noise(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.5 - 1.0).collect()
}

/// Around the lanes and the rows of a stretch.
const SHAPES: [(usize, usize); 8] =
    [(1, 1), (3, 7), (4, 16), (5, 8), (6, 33), (11, 64), (8, 31), (2, 1000)];

macro_rules! rows_are_the_formula {
    ($($name:ident: $t:ty, $eps:expr;)*) => {$(
        #[test]
        fn $name() {
            for ((m, n), count) in SHAPES.iter().flat_map(|s| [1, 2, 9].map(|k| (*s, k))) {
                let left: Vec<$t> = noise(count * m, 1).into_iter().map(|x| x as $t).collect();
                let right: Vec<$t> = noise(count * n, 2).into_iter().map(|x| x as $t).collect();
                let right: Vec<&[$t]> = right.chunks(n).collect();
                let mut sides = Sides::zeros((m, n), count);
                for (k, (left, right)) in left.chunks(m).zip(&right).enumerate() {
                    sides.set(k, (2.0, left), right);
                }
                let half = m / 2 / ROWS * ROWS;
                for (rows, stream) in [(0..m, false), (0..m, true), (half..m, false)] {
                    let mut first: Option<Vec<$t>> = None;
                    for level in Level::all() {
                        let mut out = vec![<$t>::NAN; rows.len() * n];
                        let (sides, out_rows) = (&sides, rows.clone());
                        let outer = Outer { sides, rows: out_rows, out: &mut out, stream };
                        <$t>::outer(level, outer);
                        for (row, i) in out.chunks(n).zip(rows.clone()) {
                            for (j, y) in row.iter().enumerate() {
                                let terms = (0..count).map(|k| {
                                    2.0 * f64::from(left[k * m + i]) * f64::from(right[k][j])
                                });
                                let off = (f64::from(*y) - terms.sum::<f64>()).abs();
                                assert!(off <= 20.0 * f64::from($eps), "{m}x{n} at {i}, {j}");
                            }
                        }
                        let first = first.get_or_insert_with(|| out.clone());
                        assert_eq!(&out, first, "tiers differ at {m}x{n}");
                    }
                }
            }
        }
    )*};
}

rows_are_the_formula! {
    rows_of_singles: f32, f32::EPSILON;
    rows_of_doubles: f64, f64::EPSILON;
}

#[test]
#[should_panic(expected = "lengths of both sides")]
fn sides_of_other_lengths_are_refused() {
    Sides::<f32>::zeros((3, 2), 1).set(0, (1.0, &[1.0; 3]), &[1.0; 3]);
}

#[test]
#[should_panic(expected = "size of out")]
fn results_of_another_size_are_refused() {
    let sides = Sides::<f32>::zeros((3, 2), 1);
    let outer = Outer { sides: &sides, rows: 0..3, out: &mut [0.0; 5], stream: false };
    f32::outer(Level::all()[0], outer);
}
