//! What the test of KVM on a host found.

/// What the test of KVM on a host found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvmSupport {
    /// A guest boots with KVM.
    Works,
    /// A guest does not boot with KVM.
    DoesNotBoot,
    /// Unknown: there is no kernel that a guest could boot.
    NoKernel,
}
