//! Threads and interruption: how a call runs, which never changes its result.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use ndarray::Array2;
use rsspecnorm::{
    Control, Error, Goal, Matrix, Request, Stack, norms, num_threads, set_num_threads, solve,
    solve_each,
};

use crate::common::{bits, gaussian, matrix};
use crate::spectrum::PRECISE;

fn threads(n: usize) -> Control<'static> {
    Control { num_threads: Some(n), ..Control::default() }
}

/// A small matrix, some of one block, and both ways round one that is cut into several.
fn batch() -> Vec<Array2<f64>> {
    let shapes = [(3, 5), (900, 700), (120, 140), (64, 64), (700, 900), (1, 1), (200, 40)];
    shapes.iter().enumerate().map(|(i, &(m, n))| gaussian(m, n, i as u64)).collect()
}

#[test]
fn threads_and_company_change_no_bit() {
    let batch = batch();
    let matrices: Vec<Matrix<'_>> = batch.iter().map(|a| matrix(a.view())).collect();
    let request = Request { maxiter: 6, ..PRECISE };
    let alone: Vec<Vec<u64>> =
        matrices.iter().map(|&a| bits(&solve(&[a], &request, threads(1)).unwrap()[0])).collect();
    for n in [1, 2, 3, 5] {
        let together = solve(&matrices, &request, threads(n)).unwrap();
        assert_eq!(together.iter().map(bits).collect::<Vec<_>>(), alone, "{n} threads");
        let largest = solve(&matrices[1..2], &request, threads(n)).unwrap();
        assert_eq!(bits(&largest[0]), alone[1], "{n} threads");
    }
}

#[test]
fn results_beyond_memory_are_an_error() {
    let nothing: [f64; 0] = [];
    let wide = Matrix::from_slice(&nothing, 0, 1 << 55).unwrap();
    let vectors = Request { vectors: true, ..PRECISE };
    let refused = Error::OutOfMemory { count: 1 };
    assert_eq!(solve(&[wide], &vectors, threads(1)).unwrap_err(), refused);
    let a = Array2::<f64>::ones((3, 4));
    let many = a.broadcast((1 << 50, 3, 4)).unwrap();
    let stack = Stack::from_view(many).unwrap();
    let refused = Error::OutOfMemory { count: 1 << 50 };
    assert_eq!(solve(stack, &PRECISE, threads(1)).unwrap_err(), refused);
    assert_eq!(norms(stack, &PRECISE, threads(1)).unwrap_err(), refused);
    // Without vectors the same matrix has a result of a few bytes.
    assert_eq!(norms(&[wide], &PRECISE, threads(1)).unwrap().sigma, [0.0]);
}

#[test]
fn every_matrix_is_reported_once() {
    let batch: Vec<Array2<f64>> = (0..300).map(|i| gaussian(8, 9, i)).collect();
    let matrices: Vec<Matrix<'_>> = batch.iter().map(|a| matrix(a.view())).collect();
    let expected = solve(&matrices, &PRECISE, threads(1)).unwrap();
    let seen = Mutex::new(vec![]);
    let done = |i: usize, solution: rsspecnorm::Solution| {
        seen.lock().unwrap().push((i, solution.sigma));
    };
    solve_each(&matrices, &PRECISE, threads(3), &done).unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort_by_key(|&(i, _)| i);
    let expected: Vec<_> = expected.iter().enumerate().map(|(i, x)| (i, x.sigma)).collect();
    assert_eq!(seen, expected);
}

/// The size of the pool that a call runs in.
fn pool_size(control: Control<'_>) -> usize {
    // Large enough to be divided: what is not stays on the calling thread.
    let a = gaussian(1000, 600, 1);
    let size = Mutex::new(0);
    let request = Request { maxiter: 2, ..Request::default() };
    let done = |_, _| *size.lock().unwrap() = rayon::current_num_threads();
    solve_each(&[matrix(a.view())], &request, control, &done).unwrap();
    size.into_inner().unwrap()
}

#[test]
fn call_comes_before_process_before_environment() {
    let of_environment = num_threads();
    assert!(of_environment >= 1);
    set_num_threads(Some(3)).unwrap();
    assert_eq!((num_threads(), pool_size(Control::default())), (3, 3));
    assert_eq!(pool_size(threads(2)), 2);
    assert_eq!(num_threads(), 3);
    assert!(set_num_threads(Some(0)).is_err());
    assert_eq!(num_threads(), 3);
    set_num_threads(None).unwrap();
    assert_eq!((num_threads(), pool_size(Control::default())), (of_environment, of_environment));
}

#[test]
fn call_ends_soon_after_it_is_told_to() {
    // A path's values lie so close to one another that this would take many hundred passes.
    let path = Array2::from_shape_fn((1200, 1200), |(i, j)| f64::from(i.abs_diff(j) == 1));
    let request = Request { goal: Goal::Rtol(Some(1e-14)), maxiter: 100_000, ..Request::default() };
    for n in [1, 2] {
        let (mut asked, mut told) = (0, None);
        // Three questions: the caller is asked again after saying no.
        let mut stop = || {
            asked += 1;
            told = Some(Instant::now());
            asked == 3
        };
        let control = Control { num_threads: Some(n), interrupted: Some(&mut stop) };
        let outcome = solve(&[matrix(path.view())], &request, control);
        assert_eq!(outcome, Err(Error::Interrupted));
        assert_eq!(asked, 3);
        let after = told.expect("the caller was asked").elapsed();
        assert!(after < Duration::from_secs(1), "{after:?}");
    }
}

#[test]
fn caller_who_never_stops_a_call_gets_its_answer() {
    let a = gaussian(1000, 800, 2);
    let mut go_on = || false;
    let control = Control { num_threads: Some(2), interrupted: Some(&mut go_on) };
    let watched = solve(&[matrix(a.view())], &PRECISE, control).unwrap();
    let plain = solve(&[matrix(a.view())], &PRECISE, threads(2)).unwrap();
    assert_eq!(bits(&watched[0]), bits(&plain[0]));
}
