//! The products of columns against naive loops, and tier against tier.

use half::{bf16, f16};
use ndarray::{Array2, s};

use super::{ColumnProducts, Lie, Stored, add_products_of};
use crate::matrix::MatRef;
use crate::simd::{Level, Load};

const ROWS: [usize; 8] = [1, 7, 8, 9, 63, 511, 512, 1030];
const COLUMNS: [usize; 10] = [1, 2, 3, 4, 5, 7, 8, 9, 16, 33];

fn number(i: usize, j: usize) -> f64 {
    (((37 * i * i + 11 * j * j * j + 5 * i * j) % 61) as f64 - 30.0) / 16.0
}

/// All products and the largest magnitude, by the lowest tier after a look at the others.
fn products<T: Load<f64, 8>>(
    a: &MatRef<'_, T>,
    lie: Lie,
    range: std::ops::Range<usize>,
    (n, factors): (usize, (f64, f64)),
) -> (Vec<f64>, f64) {
    let on = |level: Level| {
        let mut products = ColumnProducts::zeros(range.len(), n);
        // What is there stays and is added to.
        products.sums_mut().fill(1.0);
        let stored = Stored { a: a.shorten(), lie, range: range.clone(), factors };
        let max = add_products_of(level, stored, &mut products);
        let entry = |k: usize| products.get(k / n, k % n) - 1.0;
        ((0..n * n).map(entry).collect::<Vec<f64>>(), max)
    };
    let expected = on(Level::all()[0]);
    for level in Level::all() {
        assert_eq!(on(level), expected, "{}", level.name());
    }
    expected
}

fn check<T: Load<f64, 8>>(of: impl Fn(f64) -> T + Copy) {
    for (m, n) in ROWS.iter().flat_map(|&m| COLUMNS.map(|n| (m, n))) {
        let a = Array2::from_shape_fn((m + 2, n), |(i, j)| of(number(i, j)));
        let range = 1..m + 1;
        let naive = |factor: f64| {
            let sum = |i: usize, j: usize| -> f64 {
                let terms = range.clone().map(|r| a[[r, i]].to_f64() * a[[r, j]].to_f64());
                terms.sum::<f64>() * factor * factor
            };
            (0..n * n).map(|k| sum(k / n, k % n)).collect::<Vec<f64>>()
        };
        let max = a.slice(s![1..=m, ..]).iter().fold(0.0_f64, |max, x| max.max(x.to_f64().abs()));
        let turned = a.t().as_standard_layout().into_owned();
        let rows = MatRef::from_view(a.view()).unwrap();
        let columns = MatRef::from_view(turned.view()).unwrap();
        for factors in [(1.0, 1.0), (0.5, 0.25)] {
            let by_rows = products(&rows, Lie::Rows, range.clone(), (n, factors));
            let by_columns = products(&columns, Lie::Columns, range.clone(), (n, factors));
            // The layout shows in no bit.
            assert_eq!(by_rows.0, by_columns.0, "{m} x {n}");
            let expected = naive(factors.0 * factors.1);
            // Small multiples of a power of two: every product and sum is exact.
            assert_eq!(by_rows.0, expected, "{m} x {n}");
            // Rows that are read in passing may count.
            assert!(by_rows.1 >= max && by_columns.1 >= max, "{m} x {n}");
            assert!(by_rows.1 <= 2.0 && by_columns.1 <= 2.0, "{m} x {n}");
        }
    }
}

#[test]
fn products_equal_naive_loops_for_every_element_type_and_tier() {
    check(|x| x);
    check(|x| x as f32);
    check(f16::from_f64);
    check(bf16::from_f64);
}

#[test]
fn rows_that_lie_apart_are_taken_as_they_are() {
    for n in COLUMNS {
        let a = Array2::from_shape_fn((77, n + 3), |(i, j)| number(i, j) as f32);
        let view = a.slice(s![.., 1..=n]);
        let packed = view.to_owned();
        let of = |a: &MatRef<'_, f32>| products(a, Lie::Rows, 0..77, (n, (1.0, 1.0)));
        let apart = of(&MatRef::from_view(view).unwrap());
        assert_eq!(apart, of(&MatRef::from_view(packed.view()).unwrap()));
    }
}

#[test]
fn pairs_are_two_columns_each() {
    for (m, n) in ROWS.iter().flat_map(|&m| [1, 2, 3, 5].map(|n| (m, n))) {
        // One row of pairs for each complex column.
        let a = Array2::from_shape_fn((n, 2 * m), |(j, k)| number(k / 2, 2 * j + k % 2));
        let same = Array2::from_shape_fn((m, 2 * n), |(i, j)| number(i, j));
        let pairs = MatRef::from_view(a.view()).unwrap();
        let rows = MatRef::from_view(same.view()).unwrap();
        let size = (2 * n, (1.0, 1.0));
        let range = m / 3..m;
        assert_eq!(
            products(&pairs, Lie::Pairs, range.clone(), size).0,
            products(&rows, Lie::Rows, range, size).0,
            "{m} x {n}"
        );
    }
}
