//! The threshold of the Christoffel bound against closed forms and a naive integral.

use super::{complex_component_squared, component, wallis};

#[test]
fn component_in_the_plane_is_the_sine_of_a_uniform_angle() {
    for failure_prob in [0.5, 0.1, 1e-3, 1e-6] {
        let expected = (failure_prob * std::f64::consts::FRAC_PI_2).sin();
        assert!((component(2, failure_prob) / expected - 1.0).abs() < 1e-7, "{failure_prob}");
    }
}

#[test]
fn component_in_space_is_uniform() {
    // Archimedes: a coordinate of a uniform point on the sphere is uniform on [-1, 1].
    for failure_prob in [0.9, 0.5, 0.1, 1e-3, 1e-6] {
        assert!((component(3, failure_prob) / failure_prob - 1.0).abs() < 1e-7, "{failure_prob}");
    }
}

#[test]
fn complex_component_has_the_distribution_of_its_square() {
    assert_eq!(complex_component_squared(1, 0.3), 1.0);
    for p in [0.9, 0.5, 1e-3, 1e-6, 1e-12] {
        // In the plane the square is uniform; in more dimensions (1 - d)^(n - 1) is what is left.
        assert!((complex_component_squared(2, p) / p - 1.0).abs() < 1e-12, "{p}");
        let left = (1.0 - complex_component_squared(4, p)).powi(3);
        assert!((left - (1.0 - p)).abs() < 1e-14, "{p}");
        let many = complex_component_squared(1_000_001, p) * 1e6;
        assert!((many / -(-p).ln_1p() - 1.0).abs() < 1e-4, "{p}");
    }
}

#[test]
fn wallis_series_continues_the_product() {
    let by_recurrence = |k: usize| {
        let start = if k.is_multiple_of(2) { std::f64::consts::FRAC_PI_2 } else { 1.0 };
        (1..=k)
            .filter(|j| j % 2 == k % 2 && *j > 1)
            .fold(start, |w, j| w * (j - 1) as f64 / j as f64)
    };
    for k in [0, 1, 2, 5, 62, 63, 64, 65, 200, 1001] {
        assert!((wallis(k) / by_recurrence(k) - 1.0).abs() < 1e-9, "{k}");
    }
}
