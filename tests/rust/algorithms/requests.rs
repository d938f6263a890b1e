//! What a call may ask for, and what it is refused.

use ndarray::{Array1, Array2};
use rsspecnorm::{Control, Error, Goal, Request, set_num_threads, solve};

use crate::common::{bits, gaussian, matrix, one, try_one};
use crate::spectrum::{PRECISE, check_triplet, with_spectrum};

fn slow_spectrum(nrows: usize, ncols: usize) -> Array2<f64> {
    let values: Vec<f64> = (0..nrows.min(ncols)).map(|i| 1.0 - 0.002 * i as f64).collect();
    with_spectrum(nrows, ncols, &values, 1)
}

/// The argument that a refusal names, which its message must begin with.
fn refused(request: &Request<'_>) -> &'static str {
    let error = try_one(gaussian(4, 3, 1).view(), request).unwrap_err();
    match error {
        Error::InvalidParameter { argument, ref got, .. }
        | Error::ShapeMismatch { argument, ref got, .. } => {
            let message = error.to_string();
            assert!(message.starts_with(&format!("{argument} must be ")), "{message}");
            assert!(message.ends_with(&format!("got {got}")), "{message}");
            assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
            argument
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn rtol_out_of_range_is_refused() {
    let with = |rtol| Request { goal: Goal::Rtol(Some(rtol)), ..Request::default() };
    for rtol in [0.0, 1.0, 1e-15, -1e-3, 2.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(&with(rtol)), "rtol", "{rtol}");
    }
    for rtol in [1e-14, 0.999] {
        assert!(try_one(gaussian(4, 3, 1).view(), &with(rtol)).is_ok(), "{rtol}");
    }
}

#[test]
fn interval_out_of_range_is_refused() {
    let with = |width, failure_prob| Request {
        goal: Goal::Width { width, failure_prob },
        ..Request::default()
    };
    for width in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(&with(width, 1e-6)), "width", "{width}");
    }
    for failure_prob in [0.0, 1.0, 1e-13, -0.5, f64::NAN] {
        assert_eq!(refused(&with(0.1, failure_prob)), "failure_prob", "{failure_prob}");
    }
    assert!(try_one(gaussian(4, 3, 1).view(), &with(1e3, 1e-12)).is_ok());
}

#[test]
fn refusal_comes_before_any_work_even_of_an_empty_batch() {
    let request = Request { maxiter: 0, ..Request::default() };
    assert_eq!(refused(&request), "maxiter");
    assert!(solve(&[], &request, Control::default()).is_err());
}

#[test]
fn no_threads_are_refused() {
    let a = gaussian(4, 3, 1);
    let control = Control { num_threads: Some(0), ..Control::default() };
    let of_call = solve(&[matrix(a.view())], &Request::default(), control).unwrap_err();
    let of_process = set_num_threads(Some(0)).unwrap_err();
    assert_eq!(of_call, of_process);
    assert!(of_call.to_string().starts_with("num_threads must be "), "{of_call}");
}

#[test]
fn start_of_the_wrong_length_or_count_is_refused() {
    for v0 in [&[&[1.0; 4][..]][..], &[&[][..]], &[], &[&[1.0; 3], &[1.0; 3]]] {
        assert_eq!(refused(&Request { v0: Some(v0), ..Request::default() }), "v0");
    }
    let right: &[&[f64]] = &[&[1.0; 3]];
    let request = Request { v0: Some(right), ..Request::default() };
    assert!(try_one(gaussian(4, 3, 1).view(), &request).is_ok());
}

#[test]
fn warm_start_is_nearer_after_as_many_passes() {
    for (nrows, ncols) in [(160, 150), (150, 160)] {
        let a = slow_spectrum(nrows, ncols);
        let v0: [&[f64]; 1] = [&one(a.view(), &PRECISE).v];
        for maxiter in [1, 3, 6] {
            let few = Request { maxiter, ..PRECISE };
            let cold = one(a.view(), &few);
            let warm = one(a.view(), &Request { v0: Some(&v0), ..few });
            let (cold, warm) = (1.0 - cold.sigma, 1.0 - warm.sigma);
            assert!(warm < 0.2 * cold, "{maxiter} passes: {warm:e} and {cold:e}");
        }
        let warm = one(a.view(), &Request { v0: Some(&v0), ..PRECISE });
        assert!((warm.sigma - 1.0).abs() <= 1e-10 && warm.converged);
        check_triplet("warm", &a, &warm);
    }
}

#[test]
fn start_without_the_top_vector_still_finds_it() {
    let diagonal: Vec<f64> = (0..150).map(|i| 1.0 - 0.005 * f64::from(i)).collect();
    let a = Array2::from_diag(&Array1::from(diagonal));
    let mut axis = vec![0.0; 150];
    axis[1] = 1.0;
    for seed in 0..20 {
        let v0: [&[f64]; 1] = [&axis];
        let solution = one(a.view(), &Request { seed, v0: Some(&v0), ..PRECISE });
        assert!((solution.sigma - 1.0).abs() <= 1e-10, "seed {seed}: {}", solution.sigma);
        let goal = Goal::Width { width: 1e-3, failure_prob: 1e-6 };
        let solution = one(a.view(), &Request { seed, v0: Some(&v0), goal, ..PRECISE });
        assert!(solution.lower <= 1.0 && 1.0 <= solution.upper, "seed {seed}");
    }
}

#[test]
fn start_without_a_direction_counts_as_none() {
    for (nrows, ncols) in [(160, 150), (150, 160), (6, 4)] {
        let a = gaussian(nrows, ncols, 3);
        let cold = bits(&one(a.view(), &PRECISE));
        let mut broken = [vec![0.0; ncols], vec![1.0; ncols], vec![1.0; ncols]];
        broken[1][2] = f64::NAN;
        broken[2][3] = f64::INFINITY;
        for v0 in &broken {
            let v0: [&[f64]; 1] = [v0];
            let solution = one(a.view(), &Request { v0: Some(&v0), ..PRECISE });
            assert_eq!(bits(&solution), cold, "{nrows} x {ncols}");
        }
    }
}

#[test]
fn start_of_any_length_is_the_same_direction() {
    let a = gaussian(160, 150, 4);
    let v0: Vec<f64> = gaussian(1, 150, 5).into_iter().collect();
    let solutions = [1.0, 2.0_f64.powi(900), 2.0_f64.powi(-900)].map(|scale| {
        let scaled: Vec<f64> = v0.iter().map(|x| x * scale).collect();
        let v0: [&[f64]; 1] = [&scaled];
        bits(&one(a.view(), &Request { v0: Some(&v0), ..PRECISE }))
    });
    assert!(solutions[0] == solutions[1] && solutions[0] == solutions[2]);
    assert_ne!(solutions[0], bits(&one(a.view(), &PRECISE)));
}

#[test]
fn few_passes_give_an_interval_but_no_convergence() {
    for (nrows, ncols) in [(160, 150), (150, 160), (200, 150)] {
        let a = slow_spectrum(nrows, ncols);
        for goal in [Goal::Rtol(None), Goal::Width { width: 1e-6, failure_prob: 1e-6 }] {
            let mut before = 0.0;
            for maxiter in 1..=3 {
                let request = Request { goal, maxiter, ..Request::default() };
                let solution = one(a.view(), &request);
                assert!(!solution.converged, "{maxiter} passes");
                assert_eq!(solution.n_passes, maxiter);
                assert!(solution.lower <= 1.0 + 1e-14 && solution.upper >= 1.0 - 1e-14);
                assert!(solution.lower <= solution.sigma && solution.sigma <= solution.upper);
                assert!(solution.sigma > before, "a pass adds nothing");
                before = solution.sigma;
                let with_vectors = one(a.view(), &Request { vectors: true, ..request });
                assert_eq!(with_vectors.n_passes, maxiter + 1);
                assert!(with_vectors.residual > 1e-3, "{}", with_vectors.residual);
            }
        }
    }
}

#[test]
fn vectors_come_only_when_asked_for() {
    let a = gaussian(50, 40, 6);
    let solution = one(a.view(), &Request { vectors: false, ..PRECISE });
    assert!(solution.u.is_empty() && solution.v.is_empty() && solution.residual.is_nan());
}

#[test]
fn smaller_tolerance_is_kept() {
    let a = with_spectrum(180, 150, &(0..150).map(|i| 0.97_f64.powi(i)).collect::<Vec<_>>(), 7);
    let mut before = 0;
    for rtol in [0.1, 1e-2, 1e-4, 1e-8, 1e-12, 1e-14] {
        let solution = one(a.view(), &Request { goal: Goal::Rtol(Some(rtol)), ..PRECISE });
        let error = (solution.sigma - 1.0).abs();
        assert!(solution.converged && error <= rtol.max(2e-14), "{rtol:e}: {error:e}");
        assert!(solution.n_passes >= before, "{rtol:e}: {} passes", solution.n_passes);
        before = solution.n_passes;
    }
}

#[test]
fn other_seed_is_another_start() {
    let a = slow_spectrum(160, 150);
    let after_one_pass = |seed| {
        let request = Request { seed, maxiter: 1, ..Request::default() };
        one(a.view(), &request).sigma.to_bits()
    };
    let mut values: Vec<u64> =
        (0..50).chain([u64::MAX, u64::MAX / 2]).map(after_one_pass).collect();
    assert_eq!(after_one_pass(7), values[7]);
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 52);
}
