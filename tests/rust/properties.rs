//! What holds for every matrix, tried on many.

mod common;

use ndarray::{Array2, Axis, concatenate};
use proptest::prelude::*;
use rsspecnorm::{Goal, Request, Solution};

use common::{Noise, bits, gaussian, one};

const PRECISE: Request<'static> = Request {
    goal: Goal::Rtol(Some(1e-12)),
    maxiter: 300,
    seed: 0,
    vectors: true,
    second: true,
    check_finite: false,
    v0: None,
};

/// Noise of any shape up to `most` on a side, with columns of very different size.
fn matrices(most: usize) -> impl Strategy<Value = Array2<f64>> {
    (1..=most, 1..=most, any::<u64>(), 0..4_i32).prop_map(|(nrows, ncols, seed, grade)| {
        let mut a = gaussian(nrows, ncols, seed);
        for (j, mut column) in a.axis_iter_mut(Axis(1)).enumerate() {
            column *= 2.0_f64.powi(-grade * (j % 8) as i32);
        }
        a
    })
}

/// Doubles of every kind, the rare kinds often.
fn entries() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite()),
        2 => (0..1_u64 << 52).prop_map(f64::from_bits),
        2 => -1.0..1.0_f64,
        1 => prop::sample::select(vec![0.0, -0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324]),
    ]
}

/// Entries as [`entries`], with at most two of them replaced by something that is not finite.
fn hostile() -> impl Strategy<Value = Array2<f64>> {
    let broken = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    let spoiled = prop::collection::vec((any::<prop::sample::Index>(), broken), 0..3);
    (1..=12_usize, 1..=12_usize)
        .prop_flat_map(|(m, n)| {
            prop::collection::vec(entries(), m * n)
                .prop_map(move |data| Array2::from_shape_vec((m, n), data).expect("m n entries"))
        })
        .prop_flat_map(move |a| {
            (Just(a), spoiled.clone()).prop_map(|(mut a, spoiled)| {
                let data = a.as_slice_mut().expect("standard layout");
                for (at, x) in spoiled {
                    let n = data.len();
                    data[at.index(n)] = x;
                }
                a
            })
        })
}

/// The largest singular value by one-sided Jacobi rotations.
fn jacobi(a: &Array2<f64>) -> f64 {
    let mut a = if a.nrows() < a.ncols() { a.t().to_owned() } else { a.clone() };
    for _ in 0..60 {
        let mut largest = 0.0_f64;
        for p in 0..a.ncols() {
            for q in p + 1..a.ncols() {
                let (x, y) = (a.column(p).to_owned(), a.column(q).to_owned());
                let (xx, yy, xy) = (x.dot(&x), y.dot(&y), x.dot(&y));
                if xy == 0.0 {
                    continue;
                }
                largest = largest.max(xy.abs() / (xx * yy).sqrt());
                let zeta = (yy - xx) / (2.0 * xy);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = cosine * tangent;
                a.column_mut(p).assign(&(cosine * &x - sine * &y));
                a.column_mut(q).assign(&(sine * &x + cosine * &y));
            }
        }
        if largest < 1e-15 {
            break;
        }
    }
    a.columns().into_iter().map(|x| x.dot(&x).sqrt()).fold(0.0, f64::max)
}

fn row_norms(a: &Array2<f64>) -> Vec<f64> {
    a.rows().into_iter().map(|x| x.dot(&x).sqrt()).collect()
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn powers_of_two_come_out_as_they_went_in(a in matrices(48), k in -800..800_i32) {
        let scale = |x: f64| x * 2.0_f64.powi(k / 2) * 2.0_f64.powi(k - k / 2);
        let scaled = one(a.mapv(scale).view(), &PRECISE);
        let plain = one(a.view(), &PRECISE);
        let expected = Solution {
            sigma: scale(plain.sigma),
            second: scale(plain.second),
            lower: scale(plain.lower),
            upper: scale(plain.upper),
            ..plain
        };
        prop_assert_eq!(bits(&scaled), bits(&expected));
    }

    #[test]
    fn transpose_has_the_same_norm(a in matrices(48)) {
        let plain = one(a.view(), &PRECISE);
        let turned = one(a.t().as_standard_layout().view(), &PRECISE);
        prop_assert!((plain.sigma - turned.sigma).abs() <= 1e-11 * plain.sigma);
        prop_assert_eq!((turned.u.len(), turned.v.len()), (plain.v.len(), plain.u.len()));
        // Fortran order is the same matrix, read along the other axis.
        let view = one(a.t(), &PRECISE);
        prop_assert!((plain.sigma - view.sigma).abs() <= 1e-11 * plain.sigma);
    }

    #[test]
    fn order_of_the_rows_does_not_matter(a in matrices(40), seed in any::<u64>()) {
        let mut noise = Noise::new(seed);
        let mut order: Vec<usize> = (0..a.nrows()).collect();
        order.sort_by_cached_key(|_| noise.bits());
        let plain = one(a.view(), &PRECISE).sigma;
        let mixed = one(a.select(Axis(0), &order).view(), &PRECISE).sigma;
        prop_assert!((plain - mixed).abs() <= 1e-12 * plain, "{} {}", plain, mixed);
    }

    #[test]
    fn norm_lies_between_the_longest_row_and_the_frobenius_norm(a in matrices(64)) {
        let solution = one(a.view(), &Request::default());
        let rows = row_norms(&a).into_iter().chain(row_norms(&a.t().to_owned()));
        let longest = rows.fold(0.0, f64::max);
        let fro = a.iter().map(|x| x * x).sum::<f64>().sqrt();
        prop_assert!(longest <= solution.upper, "{} {}", longest, solution.upper);
        prop_assert!(solution.lower <= fro * (1.0 + 1e-14), "{} {}", solution.lower, fro);
        prop_assert!((solution.entries.fro - fro).abs() <= 1e-13 * fro);
        let largest = a.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        prop_assert_eq!(solution.entries.max_abs, largest);
    }

    #[test]
    fn more_rows_never_lessen_the_norm(a in matrices(40), seed in any::<u64>(), more in 1..5_usize) {
        let rows = gaussian(more, a.ncols(), seed) * 0.1;
        let longer = concatenate![Axis(0), a, rows];
        let (before, after) = (one(a.view(), &PRECISE), one(longer.view(), &PRECISE));
        prop_assert!(before.lower <= after.upper);
        prop_assert!(before.sigma <= after.sigma * (1.0 + 1e-11));
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn interval_holds_the_value_of_jacobi_rotations(a in matrices(12)) {
        let solution = one(a.view(), &PRECISE);
        let sigma = jacobi(&a);
        prop_assert!(solution.converged);
        prop_assert!((solution.sigma - sigma).abs() <= 1e-13 * sigma);
        prop_assert!(solution.lower <= sigma * (1.0 + 1e-14) && sigma * (1.0 - 1e-14) <= solution.upper);
    }

    #[test]
    fn any_bit_pattern_obeys_the_policy(a in hostile()) {
        let solution = one(a.view(), &PRECISE);
        let n_nan = a.iter().filter(|x| x.is_nan()).count();
        let n_inf = a.iter().filter(|x| x.is_infinite()).count();
        let Solution { sigma, lower, upper, .. } = solution;
        prop_assert_eq!(solution.entries.n_nonfinite, n_nan + n_inf);
        if n_nan > 0 {
            prop_assert!(sigma.is_nan() && lower.is_nan() && upper.is_nan());
        } else if n_inf > 0 {
            prop_assert_eq!((sigma, lower, upper), (f64::INFINITY, f64::INFINITY, f64::INFINITY));
        } else {
            let largest = a.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            prop_assert!(largest <= upper && lower <= sigma && sigma <= upper);
            // Neither end of the range may bend the bound itself.
            let most = if largest < 1.0 { 12.0 * largest } else { 12.0 * (largest * 0.125) * 8.0 };
            prop_assert!(sigma <= most * (1.0 + 1e-13) || most.is_infinite());
        }
        let vectors = solution.u.iter().chain(&solution.v);
        if sigma.is_finite() {
            let squares: f64 = vectors.map(|x| x * x).sum();
            prop_assert!((squares - 2.0).abs() <= 1e-13, "{}", squares);
        } else {
            prop_assert!(vectors.into_iter().all(|x| x.is_nan()));
        }
        let refused = common::try_one(a.view(), &Request { check_finite: true, ..PRECISE });
        prop_assert_eq!(refused.is_err(), n_nan + n_inf > 0);
    }
}
