//! Every shape, and every layout in memory of one matrix.

use ndarray::{Array2, ArrayView2, s};
use rsspecnorm::{Control, MatRef, Matrix, Method, Request, solve, spectral_norm};

use crate::common::{bits, gaussian, one};
use crate::spectrum::{PRECISE, check, with_spectrum};

#[test]
fn one_entry_is_its_magnitude() {
    for x in [3.0, -3.0, 1e-200, -1e200] {
        let solution = one(Array2::from_elem((1, 1), x).view(), &PRECISE);
        assert_eq!(solution.sigma, f64::abs(x));
        assert_eq!((solution.u[0] * solution.v[0]).signum(), x.signum());
        assert_eq!((solution.u[0].abs(), solution.v[0].abs()), (1.0, 1.0));
    }
}

#[test]
fn one_row_or_column_is_its_length() {
    for n in [2, 7, 33, 500] {
        let row = gaussian(1, n, n as u64);
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        check("row", &row, length);
        check("column", &row.t().to_owned(), length);
        assert!(one(row.view(), &PRECISE).n_passes <= 2);
    }
}

#[test]
fn every_small_shape() {
    for m in 1..=9 {
        for n in 1..=9 {
            let values: Vec<f64> = (0..m.min(n)).map(|i| 2.0 - 0.2 * i as f64).collect();
            check("small", &with_spectrum(m, n, &values, (10 * m + n) as u64), 2.0);
        }
    }
}

#[test]
fn tall_and_wide_matrices() {
    for (m, n) in [(2, 300), (300, 2), (1000, 34), (34, 1000), (257, 65), (65, 257)] {
        let values: Vec<f64> = (0..m.min(n)).map(|i| 2.0 - 0.02 * i as f64).collect();
        check("rectangle", &with_spectrum(m, n, &values, 1), 2.0);
    }
}

#[test]
fn empty_matrix_has_norm_zero() {
    for (m, n) in [(0, 5), (5, 0), (0, 0)] {
        let request = Request { check_finite: true, ..PRECISE };
        let solution = one(Array2::<f32>::zeros((m, n)).view(), &request);
        assert_eq!((solution.sigma, solution.lower, solution.upper), (0.0, 0.0, 0.0));
        assert_eq!((solution.u.len(), solution.v.len()), (m, n));
        assert_eq!((solution.n_passes, solution.method), (0, Method::Trivial));
        assert!(solution.converged);
        assert_eq!(spectral_norm(Array2::<f64>::zeros((m, n)).view()), Ok(0.0));
    }
    assert_eq!(solve(&[], &PRECISE, Control::default()), Ok(vec![]));
}

#[test]
fn gaps_between_rows_change_nothing() {
    for (m, n) in [(60, 40), (40, 60), (5, 3), (9, 1)] {
        let large = gaussian(2 * m, n + 5, 2);
        for view in [large.slice(s![..m, ..n]), large.slice(s![..;2, 2..n + 2])] {
            let packed = view.as_standard_layout().into_owned();
            assert_eq!(bits(&one(view, &PRECISE)), bits(&one(packed.view(), &PRECISE)));
        }
    }
}

#[test]
fn rows_from_last_to_first_change_nothing() {
    for (m, n) in [(60, 40), (40, 60), (6, 4)] {
        let a = gaussian(m, n, 3);
        let view = a.slice(s![..;-1, ..]);
        let packed = view.as_standard_layout().into_owned();
        assert_eq!(bits(&one(view, &PRECISE)), bits(&one(packed.view(), &PRECISE)));
    }
}

#[test]
fn transposed_view_has_the_norm_and_the_vectors_of_its_copy() {
    for (m, n) in [(60, 40), (40, 60), (50, 50), (6, 4)] {
        let values: Vec<f64> = (0..m.min(n)).map(|i| 2.0 - 0.03 * i as f64).collect();
        let a = with_spectrum(m, n, &values, 4);
        for view in [a.t(), a.slice(s![..;-1, ..]).reversed_axes()] {
            let solution = one(view, &PRECISE);
            assert!((solution.sigma - 2.0).abs() <= 2e-10);
            let packed = view.as_standard_layout().into_owned();
            crate::spectrum::check_triplet("transposed", &packed, &solution);
        }
    }
}

#[test]
fn layout_without_contiguous_axis_is_refused_or_copied() {
    let a = gaussian(80, 60, 5);
    for view in [a.slice(s![..;2, ..;2]), a.slice(s![.., ..;-1]), a.slice(s![..;-1, ..;-3])] {
        assert!(Matrix::from_view(view).is_none());
        assert!(MatRef::from_view(view).is_none());
        let packed = view.as_standard_layout().into_owned();
        assert_eq!(spectral_norm(view), spectral_norm(packed.view()));
    }
}

#[test]
fn reversed_row_and_column_are_borrowed() {
    let a = gaussian(1, 50, 6);
    let norm = spectral_norm(a.view()).unwrap();
    let reversed = a.slice(s![.., ..;-1]);
    assert_eq!(Matrix::from_view(reversed).unwrap().shape(), (1, 50));
    assert!((spectral_norm(reversed).unwrap() / norm - 1.0).abs() <= 1e-14);
    assert!((spectral_norm(reversed.reversed_axes()).unwrap() / norm - 1.0).abs() <= 1e-14);
}

#[test]
fn slice_of_the_wrong_length_is_no_matrix() {
    let data = [1.0_f64; 6];
    assert!(Matrix::from_slice(&data, 2, 3).is_some());
    assert!(Matrix::from_slice(&data, 2, 4).is_none());
    assert!(MatRef::from_slice(&data, 7, 1).is_none());
    assert!(Matrix::from_slice(&data, usize::MAX, 6).is_none());
}

#[test]
fn where_the_rows_lie_changes_no_bit() {
    // Copied if they lie ill, never copied for their length, too large to copy.
    for (nrows, ncols) in [(200, 136), (200, 137), (600, 520)] {
        let a = gaussian(nrows, ncols, 6);
        let mut memory = vec![0.0; a.len() + 8];
        let request = Request { vectors: true, ..Request::default() };
        let expected = bits(&one(a.view(), &request));
        let turned = bits(&one(a.t(), &request));
        for offset in 0..8 {
            let data = &mut memory[offset..offset + a.len()];
            data.copy_from_slice(a.as_slice().expect("in standard layout"));
            let b = ArrayView2::from_shape((nrows, ncols), &*data).expect("as many elements");
            assert_eq!(bits(&one(b, &request)), expected, "{nrows} x {ncols}, {offset}");
            assert_eq!(bits(&one(b.t(), &request)), turned, "{nrows} x {ncols}, {offset}");
        }
    }
}
