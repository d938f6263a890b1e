//! The pass with several vectors against naive sums in double precision, and tier against tier.

use half::{bf16, f16};
use ndarray::{ArrayView2, s};

use super::block::{BlockCols, BlockRows, Scaling, is_far, lead};
use super::panel::{Panel, entry, gram, multiply, set_entry, shift_back, shifted};
use crate::matrix::MatRef;
use crate::simd::{Level, Load};

/// Around the lengths of a panel, of two, and of a tile.
const NCOLS: [usize; 15] = [1, 2, 15, 16, 17, 31, 33, 65, 127, 511, 529, 1000, 1023, 1025, 1036];

/// Lanes before the first entry of a row.
const LEADS: [usize; 4] = [0, 4, 8, 12];

/// Around the rows taken at a time, of a strip and of a group of an update.
const NROWS: [usize; 9] = [1, 2, 3, 4, 5, 15, 17, 63, 130];

/// Large enough that rows are fetched ahead.
const LARGE: (usize, usize) = (130, 17_000);

/// Roundoffs of single precision that a sum may be off by, times the sum of magnitudes.
const ROUNDOFFS: f64 = 16.0;

/// Numbers in [-1, 1), each exact in half precision.
fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let mut state = seed.wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 57) as f64 / 64.0 - 1.0
    };
    (0..4).for_each(|_| _ = next());
    (0..len).map(|_| next()).collect()
}

fn panels<const B: usize>(seed: u64, n: usize) -> Vec<Panel<B>> {
    let mut panels = Panel::zeros(n);
    let values = numbers(seed, n * B);
    for i in 0..n {
        set_entry(&mut panels, i, std::array::from_fn(|c| values[i * B + c] as f32));
    }
    panels
}

/// `A X` and `scale A'(A X)` with the sums of magnitudes, in double precision.
struct Naive {
    t: Vec<Vec<f64>>,
    z: Vec<Vec<(f64, f64)>>,
}

fn naive<const B: usize>(a: &[Vec<f64>], x: &[[f32; B]], scale: f64) -> Naive {
    let dot =
        |row: &Vec<f64>, c: usize| row.iter().zip(x).map(|(a, x)| a * f64::from(x[c])).sum::<f64>();
    let t: Vec<Vec<f64>> = a.iter().map(|row| (0..B).map(|c| dot(row, c)).collect()).collect();
    let ncols = a[0].len();
    let column = |j: usize, c: usize| {
        let terms = a.iter().zip(&t).map(|(row, t)| scale * row[j] * t[c]);
        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
    };
    let z = (0..ncols).map(|j| (0..B).map(|c| column(j, c)).collect()).collect();
    Naive { t, z }
}

fn assert_near<const B: usize>(z: &[Panel<B>], naive: &Naive, a: &[Vec<f64>], what: &str) {
    let norm = a.iter().flatten().map(|x| x * x).sum::<f64>().sqrt();
    let longest = naive.t.iter().flatten().fold(0.0_f64, |m, t| m.max(t.abs()));
    for (j, expected) in naive.z.iter().enumerate() {
        for (c, x) in entry(z, j).into_iter().enumerate() {
            let (sum, size) = expected[c];
            let bound = ROUNDOFFS * f64::from(f32::EPSILON) * (size + norm * longest.max(1.0));
            assert!((f64::from(x) - sum).abs() <= bound, "{what}: z[{j}][{c}] = {x}, not {sum}");
        }
    }
}

/// The pass by rows and by columns, there and back, on every tier.
fn check<T: Load<f32, 16>, const B: usize>(
    nrows: usize,
    ncols: usize,
    of: fn(f64) -> T,
    gap: usize,
) {
    for back in [false, true] {
        check_along::<T, B>((nrows, ncols), of, gap, back);
    }
}

fn check_along<T: Load<f32, 16>, const B: usize>(
    (nrows, ncols): (usize, usize),
    of: fn(f64) -> T,
    gap: usize,
    back: bool,
) {
    let values = numbers((nrows * 31 + ncols) as u64, nrows * (ncols + gap));
    let data: Vec<T> = values.iter().map(|&x| of(x)).collect();
    let view = ArrayView2::from_shape((nrows, ncols + gap), &data).unwrap();
    let a = MatRef::from_view(view.slice_move(s![.., ..ncols])).unwrap();
    let dense: Vec<Vec<f64>> =
        (0..nrows).map(|i| a.row(i).iter().map(|x| x.to_f64()).collect()).collect();
    let what = format!("{} {nrows} x {ncols}, {B} vectors, back: {back}", T::NAME);
    let scaling = Scaling { products: -0.5, elements: None };

    let x = panels::<B>(1, ncols);
    let entries: Vec<_> = (0..ncols).map(|j| entry(&x, j)).collect();
    let pass = |(level, lead): (Level, usize)| {
        let (x, mut sum) = (&shifted(&x, ncols, lead)[..], Panel::zeros(lead + ncols));
        let (range, t, z) = (0..nrows, &mut vec![[0.0; B]; nrows][..], &mut sum[..]);
        let (weights, far) = (None, is_far(&a) || lead == 4);
        level.run(BlockRows { a, range, x, lead, scaling, weights, back, far, t, z });
        let mut z = Panel::zeros(ncols);
        shift_back(&sum, lead, &mut z);
        z
    };
    let all = Level::all().into_iter().flat_map(|level| LEADS.map(|lead| (level, lead)));
    let by_rows: Vec<_> = all.map(pass).collect();
    assert_near(&by_rows[0], &naive(&dense, &entries, -0.5), &dense, &what);
    assert!(by_rows.iter().all(|z| z == &by_rows[0]), "{what}: tiers or places differ");

    let x: Vec<[f32; B]> = (0..nrows).map(|i| entry(&panels::<B>(2, nrows), i)).collect();
    let transposed: Vec<Vec<f64>> =
        (0..ncols).map(|j| dense.iter().map(|row| row[j]).collect()).collect();
    let by_columns = Level::all().into_iter().map(|level| {
        let mut z = vec![[0.0; B]; nrows];
        level.run(BlockCols { a, range: 0..ncols, x: &x, scaling, back, z: &mut z });
        z
    });
    let by_columns: Vec<_> = by_columns.collect();
    let mut z = Panel::zeros(nrows);
    by_columns[0].iter().enumerate().for_each(|(i, &x)| set_entry(&mut z, i, x));
    assert_near(&z, &naive(&transposed, &x, -0.5), &transposed, &what);
    assert!(by_columns.iter().all(|z| z == &by_columns[0]), "{what}: tiers differ by columns");
}

#[test]
fn passes_agree_with_naive_sums_and_between_tiers() {
    for (i, &nrows) in NROWS.iter().enumerate() {
        for (j, &ncols) in NCOLS.iter().enumerate() {
            let gap = (i + j) % 3;
            check::<f32, 2>(nrows, ncols, |x| x as f32, gap);
            check::<f32, 3>(nrows, ncols, |x| x as f32, gap);
            check::<f32, 4>(nrows, ncols, |x| x as f32, gap);
            check::<f16, 2>(nrows, ncols, f16::from_f64, gap);
            check::<bf16, 4>(nrows, ncols, bf16::from_f64, gap);
        }
    }
    check::<f32, 2>(LARGE.0, LARGE.1, |x| x as f32, 0);
}

#[test]
fn weights_stand_for_rows_that_are_multiplied() {
    let (nrows, ncols) = (75, 70);
    let values: Vec<f32> = numbers(6, nrows * ncols).iter().map(|&x| x as f32).collect();
    let steps: Vec<f32> = (0..nrows).map(|i| 2.0_f32.powi(i as i32 % 9 - 4)).collect();
    let weights: Vec<f32> = steps.iter().map(|x| x * x).collect();
    let scaled: Vec<f32> = (0..nrows * ncols).map(|k| values[k] * steps[k / ncols]).collect();
    let x = panels::<3>(4, ncols);
    for level in Level::all() {
        let pass = |data: &[f32], weights: Option<&[f32]>| {
            let a = MatRef::from_slice(data, nrows, ncols).unwrap();
            let (mut z, mut t) = (Panel::zeros(ncols), vec![[0.0; 3]; nrows]);
            // Blocks that begin in the midst of the rows find the weights of theirs.
            for range in [0..29, 29..nrows] {
                let (x, lead, back, far) = (&x[..], 0, false, false);
                let t = &mut t[range.clone()];
                let scaling = Scaling { products: 2.0, elements: None };
                let z = &mut z[..];
                level.run(BlockRows { a, range, x, lead, scaling, weights, back, far, t, z });
            }
            z
        };
        assert_eq!(pass(&values, Some(&weights)), pass(&scaled, None), "{}", level.name());
    }
}

#[test]
fn scaled_elements_give_the_bits_of_scaled_vectors() {
    let (nrows, ncols) = (37, 70);
    let values: Vec<f32> = numbers(5, nrows * ncols).iter().map(|&x| x as f32).collect();
    let small: Vec<f32> = values.iter().map(|x| x * 2.0_f32.powi(-60)).collect();
    let pass = |data: &[f32], scaling: Scaling| {
        let a = MatRef::from_slice(data, nrows, ncols).unwrap();
        let (mut z, mut t) = (Panel::zeros(ncols), vec![[0.0; 2]; nrows]);
        let x = panels::<2>(3, ncols);
        let level = Level::current().unwrap();
        let (range, x, back, far) = (0..nrows, &x[..], false, false);
        let (lead, weights, t, z_mut) = (0, None, &mut t[..], &mut z[..]);
        level.run(BlockRows { a, range, x, lead, scaling, weights, back, far, t, z: z_mut });
        z
    };
    let plain = pass(&values, Scaling { products: 1.0, elements: None });
    let half = 2.0_f32.powi(30);
    let lifted = pass(&small, Scaling { products: 1.0, elements: Some((half, half)) });
    assert_eq!(plain, lifted);
}

#[test]
fn rows_leave_lanes_free_where_all_of_them_begin_alike() {
    let data = vec![0.0_f32; 4 * 384 + 32];
    let line = data.as_ptr().align_offset(64);
    let begin = |skip: usize, stride: usize, columns: usize| {
        let rows = ArrayView2::from_shape((4, stride), &data[line + skip..][..4 * stride]).unwrap();
        lead(&MatRef::from_view(rows.slice_move(s![.., ..columns])).unwrap())
    };
    assert_eq!([0, 1, 4, 7, 8, 15].map(|skip| begin(skip, 384, 331)), [0, 0, 4, 4, 8, 12]);
    assert_eq!([begin(4, 383, 320), begin(4, 376, 320)], [0; 2], "each row begins elsewhere");
    assert_eq!(begin(4, 384, 192), 0, "rows too short for it to pay");
    let halves = vec![f16::ZERO; 384 * 4 + 8];
    assert_eq!(lead(&MatRef::from_slice(&halves[8..], 4, 384).unwrap()), 0, "no loads of a part");
}

#[test]
fn gram_and_multiply_agree_with_naive_sums() {
    for n in [1, 16, 17, 100] {
        let z = panels::<4>(7, n);
        let w = [[1.0, 0.5, -0.25, 2.0], [0.0, 3.0, 1.0, -1.0], [0.0, 0.0, 0.5, 0.25], [0.0; 4]];
        for level in Level::all() {
            let g = gram(level, &z);
            let mut product = z.clone();
            multiply(level, &mut product, w);
            for c in 0..4 {
                for (d, product) in g[c].iter().enumerate() {
                    let term = |i: usize| f64::from(entry(&z, i)[c]) * f64::from(entry(&z, i)[d]);
                    let sum: f64 = (0..n).map(term).sum();
                    assert!((product - sum).abs() <= 1e-12 * n as f64, "n = {n}");
                }
                for i in 0..n {
                    let sum: f32 = (0..4).map(|d| entry(&z, i)[d] * w[d][c]).sum();
                    assert!((entry(&product, i)[c] - sum).abs() <= 1e-5, "n = {n}");
                }
            }
        }
    }
}
