//! How the AVX2 and AVX-512 tiers write down their operations.

/// Defines operations of a tier, one line each.
macro_rules! ops {
    ($(fn $name:ident($self:ident $(, $arg:ident: $ty:ty)*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($self $(, $arg: $ty)*) -> $ret {
            // SAFETY: `self` is a token or a vector made by one, and the token's `new` found
            // every feature of the tier; loads and stores go through references to arrays of
            // exactly the lanes they touch.
            unsafe { $body }
        }
    )*};
}
pub(super) use ops;

/// Defines what both tiers do alike about memory that is not, or not yet, in a cache.
macro_rules! memory_ops {
    () => {
        #[inline(always)]
        fn stream_bytes(self, src: &[u8; 32], dst: &mut [u8; 32]) {
            if !dst.as_ptr().addr().is_multiple_of(32) {
                *dst = *src;
                return;
            }
            // SAFETY: the token proves AVX; `src` and `dst` hold the register, `dst` is aligned to 32 bytes.
            unsafe {
                let bytes = _mm256_loadu_si256(src.as_ptr().cast());
                _mm256_stream_si256(dst.as_mut_ptr().cast(), bytes);
            }
        }

        #[inline(always)]
        fn fence(self) {
            // SAFETY: every CPU of this tier has SSE.
            unsafe { _mm_sfence() }
        }

        #[inline(always)]
        fn prefetch<T>(self, x: &T) {
            // SAFETY: a prefetch of any address is a hint that cannot fault, and every CPU of this
            // tier has SSE.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(x).cast()) }
        }
    };
}
pub(super) use memory_ops;
