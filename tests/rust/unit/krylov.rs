//! Which vectors a matrix is iterated by.

use super::bears_long_vectors;

#[test]
fn long_vectors_go_with_enough_rows() {
    for (nrows, ncols) in [(512, 513), (512, 8192), (1023, 8192), (1024, 8193), (1024, 1 << 17)] {
        assert!(bears_long_vectors(nrows, ncols), "{nrows} x {ncols}");
    }
    for (nrows, ncols) in [(511, 800), (1023, 8193), (5000, (1 << 17) + 1), (1, 9), (0, 5)] {
        assert!(!bears_long_vectors(nrows, ncols), "{nrows} x {ncols}");
    }
}
