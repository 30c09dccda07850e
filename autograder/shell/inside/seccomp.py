"""System calls that no exercise needs, refused with "operation not permitted" by a kernel filter.

They lead out of the sandbox's namespaces, to other processes, to memory that no limit counts, or to
rarely used parts of the kernel. Where the machine is of another kind the sandbox holds without it.
"""

import ctypes
import platform
import struct

# Numbers from the kernel's tables: x86_64 has its own, aarch64 the generic one.
NUMBERS = {
    "x86_64": {
        # other processes and namespaces
        "ptrace": 101,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "setsid": 112,  # leaves the group of processes that shares one portion of the processor
        "unshare": 272,
        "setns": 308,
        "mount": 165,
        "umount2": 166,
        "pivot_root": 155,
        "chroot": 161,
        "open_tree": 428,
        "move_mount": 429,
        "fsopen": 430,
        "fsconfig": 431,
        "fsmount": 432,
        "fspick": 433,
        "open_by_handle_at": 304,
        # memory that is no process's own
        "memfd_create": 319,
        "memfd_secret": 447,
        "shmget": 29,
        "mq_open": 240,
        # the kernel itself
        "bpf": 321,
        "perf_event_open": 298,
        "userfaultfd": 323,
        "io_uring_setup": 425,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "kexec_load": 246,
        "init_module": 175,
        "finit_module": 313,
        "quotactl": 179,
        "swapon": 167,
        "acct": 163,
    },
    "aarch64": {
        "ptrace": 117,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "setsid": 157,
        "unshare": 97,
        "setns": 268,
        "mount": 40,
        "umount2": 39,
        "pivot_root": 41,
        "chroot": 51,
        "open_tree": 428,
        "move_mount": 429,
        "fsopen": 430,
        "fsconfig": 431,
        "fsmount": 432,
        "fspick": 433,
        "open_by_handle_at": 265,
        "memfd_create": 279,
        "memfd_secret": 447,
        "shmget": 194,
        "mq_open": 180,
        "bpf": 280,
        "perf_event_open": 241,
        "userfaultfd": 282,
        "io_uring_setup": 425,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "kexec_load": 104,
        "init_module": 105,
        "finit_module": 273,
        "quotactl": 60,
        "swapon": 224,
        "acct": 89,
    },
}
CLONE3 = 435  # on both; its flags cannot be seen by a filter, and libraries fall back to clone
CLONE = {"x86_64": 56, "aarch64": 220}
SOCKET = {"x86_64": 41, "aarch64": 198}
# Unix, IPv4, IPv6 and netlink sockets end at the namespace's border; others, such as vsock, do not.
SOCKET_FAMILIES = (1, 2, 10, 16)
NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS and CLONE_NEWCGROUP … CLONE_NEWNET
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000  # the bit of x86_64's second table of calls

LOAD, JUMP_EQUAL, JUMP_SET, JUMP_GREATER, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2


def program(machine: str) -> bytes:
    """The filter in the kernel's classic BPF: eight bytes an instruction (code, jump if true, if false, value)."""

    def instruction(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
        return struct.pack("HBBI", code, true, false, value)

    lines = [
        instruction(LOAD, ARCHITECTURE_AT),
        instruction(JUMP_EQUAL, AUDIT[machine], true=1),
        instruction(RETURN, KILL),
        instruction(LOAD, NUMBER_AT),
        instruction(JUMP_GREATER, X32, false=1),
        instruction(RETURN, ERROR | ENOSYS),
        instruction(JUMP_EQUAL, CLONE3, false=1),
        instruction(RETURN, ERROR | ENOSYS),
    ]
    for number in NUMBERS[machine].values():
        lines += [instruction(JUMP_EQUAL, number, false=1), instruction(RETURN, ERROR | EPERM)]
    families = len(SOCKET_FAMILIES)
    lines += [
        instruction(JUMP_EQUAL, CLONE[machine], false=4),
        instruction(LOAD, FIRST_ARGUMENT_AT),
        instruction(JUMP_SET, NEW_NAMESPACES, false=1),
        instruction(RETURN, ERROR | EPERM),
        instruction(RETURN, ALLOW),
        instruction(JUMP_EQUAL, SOCKET[machine], false=families + 2),
        instruction(LOAD, FIRST_ARGUMENT_AT),
        *(
            instruction(JUMP_EQUAL, family, true=families - place)
            for place, family in enumerate(SOCKET_FAMILIES)
        ),
        instruction(RETURN, ERROR | EPERM),
        instruction(RETURN, ALLOW),
    ]
    return b"".join(lines)


def install(libc: ctypes.CDLL) -> None:
    """Put the filter over this process and all it will start; needs no_new_privs."""
    if platform.machine() not in NUMBERS:
        return
    code = program(platform.machine())
    buffer = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    header = Program(len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0):
        raise OSError(ctypes.get_errno(), "no system call filter")
