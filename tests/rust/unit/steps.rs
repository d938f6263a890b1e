//! Power steps on one matrix: plainly, on a packed copy, on every tier; and naive loops in double.

use half::{bf16, f16};

use super::{DenseStep, Scratch, Whole};
use crate::kernels::step::StepKernels;
use crate::matrix::MatRef;
use crate::operator::InOrder;
use crate::scalar::Element;
use crate::simd::{Level, Load, Real};

/// Around the lengths of a vector and of the tiles of an update.
const NCOLS: [usize; 16] = [1, 3, 7, 8, 9, 15, 16, 17, 31, 48, 65, 80, 95, 97, 128, 145];

/// Around the rows taken at a time, and the rows of a strip.
const NROWS: [usize; 8] = [1, 3, 4, 5, 7, 16, 63, 66];

const STEPS: usize = 5;

/// Elements made from doubles, and how far single or double steps on them may be off.
trait Sample: StepKernels + Load<f64, 8> {
    const TOLERANCE: f64;
    fn of(x: f64) -> Self;
}

macro_rules! impl_sample {
    ($($t:ty => $tolerance:expr, $of:expr;)*) => {$(
        impl Sample for $t {
            const TOLERANCE: f64 = $tolerance;
            fn of(x: f64) -> Self {
                $of(x)
            }
        }
    )*};
}

impl_sample! {
    f16 => 1e-5, f16::from_f64;
    bf16 => 1e-5, bf16::from_f64;
    f32 => 1e-5, |x| x as f32;
    f64 => 1e-13, |x| x;
}

fn entries<T: Sample>(nrows: usize, ncols: usize) -> Vec<T> {
    (0..nrows * ncols).map(|i| T::of((1.0 + (i * i % 1009) as f64).sin())).collect()
}

fn start<A: Real>(len: usize) -> Vec<A> {
    (0..len).map(|i| A::from_f64((2.0 + 3.0 * i as f64).cos() / (len as f64).sqrt())).collect()
}

/// Sigma, x and y as made by the operator: on a packed copy, or on the matrix as it lies.
fn made<T: Sample>(
    level: Level,
    (nrows, ncols): (usize, usize),
    rows_first: bool,
    packed: bool,
) -> (f64, Vec<f64>, Vec<f64>) {
    let data = entries::<T>(nrows, ncols);
    let a = MatRef::from_slice(&data, nrows, ncols).unwrap();
    let (mut x, mut y) = (start::<T::Acc>(ncols), start::<T::Acc>(nrows));
    let (mut t, mut z) = (vec![T::Acc::ZERO; nrows], vec![T::Acc::ZERO; ncols]);
    let mut scratch = Scratch::default();
    let mut op = DenseStep::new(a, level, InOrder, &mut scratch);
    let steps = Whole {
        x: &mut x,
        y: &mut y,
        t: &mut t,
        z: &mut z,
        n_power_iterations: STEPS,
        eps: 1e-12,
        rows_first,
    };
    let sigma = if packed { op.whole_packed(steps) } else { op.whole_plain(steps) };
    let wide = |x: Vec<T::Acc>| x.iter().map(|x| x.to_f64()).collect();
    (sigma.expect("nothing stands out"), wide(x), wide(y))
}

fn unit(x: Vec<f64>) -> (f64, Vec<f64>) {
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    (norm, x.iter().map(|x| x / norm).collect())
}

fn naive<T: Sample>((nrows, ncols): (usize, usize), rows_first: bool) -> (f64, Vec<f64>, Vec<f64>) {
    let a: Vec<f64> = entries::<T>(nrows, ncols).iter().map(|x| x.to_f64()).collect();
    let by_rows = |x: &[f64]| {
        unit(a.chunks(ncols).map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect())
    };
    let by_columns = |y: &[f64]| {
        unit((0..ncols).map(|j| (0..nrows).map(|i| a[i * ncols + j] * y[i]).sum()).collect())
    };
    let wide = |x: Vec<T::Acc>| -> Vec<f64> { x.iter().map(|x| x.to_f64()).collect() };
    let (mut x, mut y) = (wide(start(ncols)), wide(start(nrows)));
    let mut sigma = 0.0;
    for _ in 0..STEPS {
        if rows_first {
            y = by_rows(&x).1;
            (sigma, x) = by_columns(&y);
        } else {
            x = by_columns(&y).1;
            (sigma, y) = by_rows(&x);
        }
    }
    (sigma, x, y)
}

fn check<T: Sample>() {
    for (nrows, ncols) in NROWS.iter().flat_map(|&m| NCOLS.map(|n| (m, n))) {
        for rows_first in [true, false] {
            let shape = (nrows, ncols);
            let case = format!("{} {shape:?} {rows_first}", std::any::type_name::<T>());
            let plain = made::<T>(Level::all()[0], shape, rows_first, false);
            for level in Level::all() {
                assert_eq!(made::<T>(level, shape, rows_first, false), plain, "{case} {level:?}");
                assert_eq!(made::<T>(level, shape, rows_first, true), plain, "{case} packed");
            }
            let expected = naive::<T>(shape, rows_first);
            assert!((plain.0 / expected.0 - 1.0).abs() < T::TOLERANCE, "{case}: sigma");
            let pairs = plain.1.iter().zip(&expected.1).chain(plain.2.iter().zip(&expected.2));
            pairs.for_each(|(x, y)| assert!((x - y).abs() < 10.0 * T::TOLERANCE, "{case}"));
        }
    }
}

#[test]
fn steps_on_half_precision() {
    check::<f16>();
    check::<bf16>();
}

#[test]
fn steps_on_single_precision() {
    check::<f32>();
}

#[test]
fn steps_on_double_precision() {
    check::<f64>();
}
