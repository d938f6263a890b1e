//! Who made the CPU.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "this floor is where the CPU is asked")
)]

/// Who made this CPU, as it says itself: `"AuthenticAMD"`, `"GenuineIntel"`; empty where it does not.
#[must_use]
pub fn cpu_vendor() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        #[allow(unused_unsafe, reason = "Rust calls it safe from some version on, not from 1.89")]
        // SAFETY: every x86-64 CPU has this instruction, and this leaf of it.
        let said = unsafe { core::arch::x86_64::__cpuid(0) };
        let bytes = [said.ebx, said.edx, said.ecx].map(u32::to_le_bytes);
        String::from_utf8_lossy(bytes.as_flattened()).into_owned()
    }
    #[cfg(not(target_arch = "x86_64"))]
    String::new()
}
