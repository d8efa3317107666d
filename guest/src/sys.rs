//! Linux system calls without a C library. Most of the unsafe code of this program is here.
//! Numbers and layouts: `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi` of Linux.

use core::arch::{asm, global_asm};

global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry,
);

/// `stack` is where the kernel stores `argc`, `argv` and the environment.
extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: the kernel stores argc, then argc pointers, a null, and then the environment.
    let (arguments, environment) = unsafe {
        let count = *stack;
        (
            Arguments {
                first: stack.add(1).cast(),
                count,
            },
            stack.add(count + 2).cast(),
        )
    };
    exit(crate::main(arguments, environment))
}

/// The program's arguments.
#[derive(Clone, Copy)]
pub(crate) struct Arguments {
    first: *const *const u8,
    count: usize,
}

impl Arguments {
    /// The argument with this index; 0 is the program.
    pub(crate) fn get(&self, index: usize) -> Option<&'static [u8]> {
        if index >= self.count {
            return None;
        }
        // SAFETY: below `count` the pointers are C strings that live as long as the process.
        unsafe { Some(until_zero(*self.first.add(index))) }
    }

    /// The pointer for `execve`.
    pub(crate) fn pointer(&self, index: usize) -> *const u8 {
        // SAFETY: callers have checked it with `get` first; the entry after the last one is a null.
        unsafe { *self.first.add(index.min(self.count)) }
    }
}

/// Wipes an argument, so that a search for the step's process by its command line does not find this one.
pub(crate) fn wipe(argument: *const u8) {
    // SAFETY: the kernel stores the arguments in writable memory, and each ends with a zero.
    unsafe {
        let length = until_zero(argument).len();
        core::ptr::write_bytes(argument.cast_mut(), 0, length);
    }
}

unsafe fn until_zero(text: *const u8) -> &'static [u8] {
    let mut length = 0;
    // SAFETY: the caller's pointer is a C string.
    unsafe {
        // Volatile, or the compiler replaces the loop with a call of C's `strlen`.
        while text.add(length).read_volatile() != 0 {
            length += 1;
        }
        core::slice::from_raw_parts(text, length)
    }
}

unsafe fn call(number: usize, given: [usize; 6]) -> isize {
    let result;
    // SAFETY: the caller guarantees valid arguments; the kernel changes only rcx, r11 and rax.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") given[0], in("rsi") given[1], in("rdx") given[2],
            in("r10") given[3], in("r8") given[4], in("r9") given[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// An error number of `errno.h`.
pub(crate) type Errno = isize;
pub(crate) type Result<T> = core::result::Result<T, Errno>;

pub(crate) const EINTR: Errno = 4;
pub(crate) const EAGAIN: Errno = 11;
pub(crate) const EEXIST: Errno = 17;

fn check(result: isize) -> Result<usize> {
    if result < 0 {
        Err(-result)
    } else {
        Ok(result as usize)
    }
}

macro_rules! system_call {
    ($number:expr $(, $argument:expr)*) => {{
        let given: &[usize] = &[$($argument as usize),*];
        let at = |index: usize| given.get(index).copied().unwrap_or(0);
        // SAFETY: every pointer passed below points to memory that outlives the call, with its length.
        check(unsafe { call($number, [at(0), at(1), at(2), at(3), at(4), at(5)]) })
    }};
}

/// A descriptor.
pub(crate) type Fd = i32;
/// No descriptor.
pub(crate) const NONE: Fd = -1;

pub(crate) fn read(fd: Fd, into: &mut [u8]) -> Result<usize> {
    system_call!(0, fd, into.as_mut_ptr(), into.len())
}

pub(crate) fn write(fd: Fd, bytes: &[u8]) -> Result<usize> {
    system_call!(1, fd, bytes.as_ptr(), bytes.len())
}

/// Writes everything, however long that takes.
pub(crate) fn write_all(fd: Fd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes two slices with one call.
pub(crate) fn write_both(fd: Fd, first: &[u8], second: &[u8]) -> Result<usize> {
    let vector = [
        first.as_ptr() as usize,
        first.len(),
        second.as_ptr() as usize,
        second.len(),
    ];
    system_call!(20, fd, vector.as_ptr(), 2)
}

pub(crate) const READ_ONLY: usize = 0;
pub(crate) const WRITE_ONLY: usize = 1;
pub(crate) const DIRECTORY: usize = 0o200_000;
const CLOSE_ON_EXEC: usize = 0o2_000_000;
const NON_BLOCKING: usize = 0o4000;

/// A path or another C string: the bytes must end with a zero.
pub(crate) fn open(path: &[u8], flags: usize) -> Result<Fd> {
    debug_assert!(path.ends_with(&[0]));
    system_call!(2, path.as_ptr(), flags | CLOSE_ON_EXEC, 0).map(|fd| fd as Fd)
}

pub(crate) fn close(fd: Fd) {
    if fd >= 0 {
        let _ = system_call!(3, fd);
    }
}

/// Reads the beginning of a file; an empty slice if it cannot be read.
pub(crate) fn file<'a>(path: &[u8], into: &'a mut [u8]) -> &'a [u8] {
    let Ok(fd) = open(path, READ_ONLY) else { return &[] };
    let count = read(fd, into).unwrap_or(0);
    close(fd);
    &into[..count]
}

/// The target of a link; an empty slice if it is not a link.
pub(crate) fn read_link<'a>(path: &[u8], into: &'a mut [u8]) -> &'a [u8] {
    let count = system_call!(89, path.as_ptr(), into.as_mut_ptr(), into.len()).unwrap_or(0);
    &into[..count]
}

pub(crate) fn entries(directory: Fd, into: &mut [u8]) -> usize {
    system_call!(217, directory, into.as_mut_ptr(), into.len()).unwrap_or(0)
}

pub(crate) fn make_directory(path: &[u8], mode: usize) -> Result<()> {
    system_call!(83, path.as_ptr(), mode).map(drop)
}

pub(crate) fn remove_directory(path: &[u8]) {
    let _ = system_call!(84, path.as_ptr());
}

pub(crate) fn unlink(path: &[u8]) {
    let _ = system_call!(87, path.as_ptr());
}

/// The ends of a new pipe, for reading and for writing.
pub(crate) fn pipe() -> Result<(Fd, Fd)> {
    let mut ends = [NONE; 2];
    system_call!(293, ends.as_mut_ptr(), CLOSE_ON_EXEC)?;
    Ok((ends[0], ends[1]))
}

pub(crate) fn set_blocking(fd: Fd, blocking: bool) {
    const GET: usize = 3;
    const SET: usize = 4;
    if let Ok(flags) = system_call!(72, fd, GET, 0) {
        let flags = if blocking {
            flags & !NON_BLOCKING
        } else {
            flags | NON_BLOCKING
        };
        let _ = system_call!(72, fd, SET, flags);
    }
}

/// Duplicates `from` as `to`, which stays open across `execve`.
pub(crate) fn duplicate(from: Fd, to: Fd) {
    let _ = system_call!(33, from, to);
}

pub(crate) fn fork() -> Result<i32> {
    system_call!(57).map(|pid| pid as i32)
}

pub(crate) fn exit(code: i32) -> ! {
    let _ = system_call!(231, code);
    loop {
        core::hint::spin_loop();
    }
}

/// Returns only on failure.
pub(crate) fn execute(path: &[u8], arguments: &[*const u8], environment: *const *const u8) -> Errno {
    debug_assert!(arguments.last().is_some_and(|last| last.is_null()));
    system_call!(59, path.as_ptr(), arguments.as_ptr(), environment)
        .err()
        .unwrap_or(0)
}

pub(crate) fn new_session() {
    let _ = system_call!(112);
}

pub(crate) fn own_pid() -> i32 {
    system_call!(39).map_or(0, |pid| pid as i32)
}

pub(crate) fn kill(pid: i32, signal: i32) {
    let _ = system_call!(62, pid, signal);
}

/// Makes orphans among our descendants our children instead of init's.
pub(crate) fn adopt_orphans() {
    const PR_SET_CHILD_SUBREAPER: usize = 36;
    let _ = system_call!(157, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

const WNOHANG: usize = 1;

/// A child that has ended; `/proc` shows it until it is reaped.
pub(crate) fn ended_child() -> Option<i32> {
    const P_ALL: usize = 0;
    const WEXITED: usize = 4;
    const WNOWAIT: usize = 0x0100_0000;
    // `siginfo_t` has 128 bytes; the PID follows three numbers and padding.
    let mut information = [0_i32; 32];
    let options = WNOHANG | WEXITED | WNOWAIT;
    system_call!(247, P_ALL, 0, information.as_mut_ptr(), options, 0).ok()?;
    Some(information[4]).filter(|pid| *pid > 0)
}

/// Reaps a child that has ended; returns its wait status.
pub(crate) fn reap(pid: i32) -> Option<i32> {
    let mut status = 0_i32;
    match system_call!(61, pid, &raw mut status, WNOHANG, 0) {
        Ok(pid) if pid > 0 => Some(status),
        _ => None,
    }
}

pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGPIPE: i32 = 13;
pub(crate) const SIGTERM: i32 = 15;
pub(crate) const SIGKILL: i32 = 9;
const SIGCHLD: u32 = 17;

/// Ignores a signal, or restores its default action.
pub(crate) fn ignore(signal: i32, ignored: bool) {
    // handler, flags, restorer, mask
    let action = [usize::from(ignored), 0, 0, 0];
    let _ = system_call!(13, signal, action.as_ptr(), 0, 8);
}

/// Blocks or unblocks SIGCHLD.
pub(crate) fn block_child_signal(blocked: bool) {
    let mask: u64 = 1 << (SIGCHLD - 1);
    let _ = system_call!(14, usize::from(!blocked), &raw const mask, 0, 8);
}

/// A descriptor that becomes readable when a child has ended.
pub(crate) fn child_signal() -> Result<Fd> {
    let mask: u64 = 1 << (SIGCHLD - 1);
    system_call!(289, -1_isize, &raw const mask, 8, CLOSE_ON_EXEC | NON_BLOCKING).map(|fd| fd as Fd)
}

/// One entry for `poll`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    pub(crate) fd: Fd,
    pub(crate) wanted: i16,
    pub(crate) found: i16,
}

pub(crate) const READABLE: i16 = 1;
pub(crate) const WRITABLE: i16 = 4;
/// Error or hang-up, which `poll` reports even if not requested.
pub(crate) const BROKEN: i16 = 8 | 16;

/// Waits; a negative number of milliseconds means no limit.
pub(crate) fn poll(watches: &mut [Watch], milliseconds: i64) {
    for watch in watches.iter_mut() {
        watch.found = 0;
    }
    let limit = milliseconds.clamp(-1, 0x7fff_ffff) as isize;
    let _ = system_call!(7, watches.as_mut_ptr(), watches.len(), limit);
}

/// Milliseconds on a clock that continues while the machine is suspended.
pub(crate) fn now() -> u64 {
    const CLOCK_BOOTTIME: usize = 7;
    let mut time = [0_u64; 2];
    let _ = system_call!(228, CLOCK_BOOTTIME, time.as_mut_ptr());
    time[0] * 1000 + time[1] / 1_000_000
}

pub(crate) fn pause(milliseconds: u64) {
    poll(&mut [], milliseconds as i64);
}

/// Allocates memory that is backed by pages only when written to.
pub(crate) fn memory(bytes: usize) -> Result<*mut u8> {
    const READ_WRITE: usize = 3;
    const PRIVATE_ANONYMOUS_NO_RESERVE: usize = 0x2 | 0x20 | 0x4000;
    system_call!(9, 0, bytes, READ_WRITE, PRIVATE_ANONYMOUS_NO_RESERVE, -1_isize, 0).map(|at| at as *mut u8)
}

/// Frees the pages; they read as zero afterwards.
pub(crate) fn give_back(at: *mut u8, bytes: usize) {
    const DONT_NEED: usize = 4;
    let _ = system_call!(28, at, bytes, DONT_NEED);
}

const UNIX: u16 = 1;

#[repr(C)]
struct Address {
    family: u16,
    path: [u8; 108],
}

fn address(path: &[u8]) -> Address {
    let mut address = Address {
        family: UNIX,
        path: [0; 108],
    };
    // `main` refuses names that would not fit.
    let length = path.len().min(107);
    address.path[..length].copy_from_slice(&path[..length]);
    address
}

fn socket() -> Result<Fd> {
    const STREAM: usize = 1;
    system_call!(41, UNIX, STREAM | CLOSE_ON_EXEC, 0).map(|fd| fd as Fd)
}

pub(crate) fn listen(path: &[u8]) -> Result<Fd> {
    let fd = socket()?;
    let address = address(path);
    system_call!(49, fd, &raw const address, size_of::<Address>())?;
    system_call!(50, fd, 8)?;
    Ok(fd)
}

pub(crate) fn connect(path: &[u8]) -> Result<Fd> {
    let fd = socket()?;
    let address = address(path);
    match system_call!(42, fd, &raw const address, size_of::<Address>()) {
        Ok(_) => Ok(fd),
        Err(error) => {
            close(fd);
            Err(error)
        }
    }
}

pub(crate) fn accept(listener: Fd) -> Result<Fd> {
    system_call!(288, listener, 0, 0, CLOSE_ON_EXEC).map(|fd| fd as Fd)
}

/// Descriptors passed with a message: standard input and output, and the pipe that is closed with them.
pub(crate) const PASSED: usize = 3;

#[repr(C)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    fds: [Fd; PASSED],
    padding: i32,
}

#[repr(C)]
struct Message {
    name: usize,
    name_length: usize,
    vector: *const [usize; 2],
    vector_length: usize,
    control: *mut Control,
    control_length: usize,
    flags: usize,
}

/// Flags of `sendmsg` and `recvmsg`.
const NO_SIGNAL: usize = 0x4000;
const CLOSE_ON_EXEC_EACH: usize = 0x4000_0000;

const CONTROL_LENGTH: usize = 16 + 4 * PASSED;

impl Message {
    fn new(vector: &[usize; 2], control: &mut Control) -> Self {
        Self {
            name: 0,
            name_length: 0,
            vector: &raw const *vector,
            vector_length: 1,
            control: &raw mut *control,
            control_length: size_of::<Control>(),
            flags: 0,
        }
    }
}

/// Sends a message with descriptors.
pub(crate) fn send(socket: Fd, bytes: &[u8], fds: [Fd; PASSED]) -> Result<usize> {
    let mut control = Control {
        length: CONTROL_LENGTH,
        level: 1,
        kind: 1,
        fds,
        padding: 0,
    };
    let vector = [bytes.as_ptr() as usize, bytes.len()];
    let message = Message::new(&vector, &mut control);
    system_call!(46, socket, &raw const message, NO_SIGNAL)
}

/// Receives a message with descriptors; missing ones are [`NONE`].
pub(crate) fn receive(socket: Fd, into: &mut [u8]) -> (usize, [Fd; PASSED]) {
    let mut control = Control {
        length: 0,
        level: 0,
        kind: 0,
        fds: [NONE; PASSED],
        padding: 0,
    };
    let vector = [into.as_mut_ptr() as usize, into.len()];
    let mut message = Message::new(&vector, &mut control);
    let count = system_call!(47, socket, &raw mut message, CLOSE_ON_EXEC_EACH).unwrap_or(0);
    let came = control.length == CONTROL_LENGTH && control.level == 1 && control.kind == 1;
    (count, if came { control.fds } else { [NONE; PASSED] })
}

/// Whether a descriptor becomes readable within the time.
pub(crate) fn readable(fd: Fd, milliseconds: i64) -> bool {
    let mut watch = [Watch {
        fd,
        wanted: READABLE,
        found: 0,
    }];
    poll(&mut watch, milliseconds);
    watch[0].found != 0
}

/// Whether all writers have closed a pipe; what they wrote may still be in it.
pub(crate) fn has_no_writer(pipe: Fd) -> bool {
    let mut watch = [Watch {
        fd: pipe,
        wanted: 0,
        found: 0,
    }];
    poll(&mut watch, 0);
    watch[0].found & BROKEN != 0
}

// The functions that the compiler calls for copies and comparisons. By words, because under emulation one byte takes
// as long as eight.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the compiler's own contract for this function.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) count & 7,
            inout("rcx") count / 8 => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the compiler's own contract for this function.
    unsafe {
        if (to as usize).wrapping_sub(from as usize) >= count {
            return memcpy(to, from, count);
        }
        let mut left = count;
        while left > 0 {
            left -= 1;
            to.add(left).write_volatile(from.add(left).read_volatile());
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the compiler's own contract for this function.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") count => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags),
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: the compiler's own contract for this function.
    unsafe {
        for index in 0..count {
            let (a, b) = (a.add(index).read_volatile(), b.add(index).read_volatile());
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: as for `memcmp`.
    unsafe { memcmp(a, b, count) }
}

/// `core` is compiled with unwinding and refers to this symbol; with `panic = "abort"` it is never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
