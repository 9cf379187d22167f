# The agent: position-independent code that is copied into a target, at offset 0 of an area
# whose layout layout.rs has. Intel syntax.
#
# Rules of the house, from the entry on:
# - No stack. Signal frames then land where they would without the agent.
# - All registers but rax, rcx and r11 are as before when the program goes on, and so are
#   the arithmetic flags; vector registers are never touched.
# - Whatever is unclear jumps to the program's own `syscall`, which traps.

.set STATE,    0x20000
.set BLOCKS,   STATE + 0x1000
.set THE_RING, 0x200000
.set RING_LEN, 0x400000
.set KNOWN,    0x050F7F00
.set MOVES_TABLE, 0x48CE8000
.set BLOCK,    0x200
.set SLOTS,    16

# The state's first page, written by the supervisor.
.set ENABLED,    0
.set POSTS,      1
.set OFFERED,    2
.set FETCHED,    3
.set MOUNT_OK,   8
.set PID,        16
.set CALLER,     20
.set UMASK,      24
.set RING,       32
.set DEVICE,     40
.set MOUNT_ID,   48
.set PASSED,     64
.set PREFIX_LEN, 72
.set GRANTED,    80
.set OPERATIONS, 88
.set ST_DEV,     96
.set F_FLAGS,    104
.set WATCHERS,   112
.set TRAPPED,    120
.set PREFIX,     0x100
.set GRANTS,     0x400

# The state's last page, which a child finds empty as well: a counter for each row, for each
# block two struct iovec, and for each whether its call was begun in this process.
.set SERVED,     0x3000
.set IOVECS,     0x3800
.set OWN,        0x3A00

# A block: the registers of one call, and where its slot lies.
.set B_CLAIM,   0
.set B_RAX,     8
.set B_FLAGS,   16
.set B_R11,     24
.set B_RDI,     32
.set B_RSI,     40
.set B_RDX,     48
.set B_R10,     56
.set B_R8,      64
.set B_R9,      72
.set B_RBX,     80
.set B_RBP,     88
.set B_R12,     96
.set B_R13,     104
.set B_R14,     112
.set B_R15,     120
.set B_RESULT,  128
.set B_AFTER,   128
.set B_GENERATION, 136
.set B_SCANNED, 140
.set B_TRAP,    144
.set B_LOCAL,   152
.set B_REMOTE,  168
.set B_REQUEST, 184
.set B_REPLY,   192
.set B_BELL,    200
.set B_PATH,    208
.set B_START,   216
.set B_END,     224
.set B_CURSOR,  232
.set B_NEXT,    240
.set B_CALL_FLAGS, 248
.set B_ANY_TEXT, 252
.set B_STATX,   256

# The calls it knows, see calls.rs: a row number for each call number, then the rows.
.set CALLS,        0x8000
.set CALL_NUMBERS, 512
.set C_OPERATION,  0
.set C_OTHERWISE,  1
.set C_DIR1,       2
.set C_PATH1,      3
.set C_DIR2,       4
.set C_PATH2,      5
.set C_FLAGS,      6
.set C_FOLLOW,     7
.set C_ALLOWED,    8
.set C_FIELDS,     12
.set C_TEXT,       14
.set C_SPECIAL,    15
.set C_RESULTS,    16
.set C_OUT,        17
.set C_ROOM,       18
.set C_TIMES,      19
.set C_MASK,       20
.set C_NAME,       21
.set C_VALUE,      22
.set C_LENGTH,     23
.set S_MODE,       1
.set S_ACCESS,     2
.set S_ZERO,       4
.set S_TIMEVAL,    8
.set S_UTIMBUF,    16
.set S_OFFSET,     32
.set S_ROOM,       64

# Header of a channel, see docs/PROTOCOL.md.
.set H_BELL,      128
.set H_SLEEPERS,  192
.set H_SPINNERS,  256
.set H_CLIENT_CPU, 384
.set H_SERVER_CPU, 448

# A reply with attributes, from its length word on, see docs/PROTOCOL.md.
.set R_INO,     9
.set R_SIZE,    17
.set R_BLOCKS,  25
.set R_ATIME,   33
.set R_MTIME,   45
.set R_CTIME,   57
.set R_MODE,    69
.set R_NLINK,   73
.set R_UID,     77
.set R_GID,     81
.set R_RDEV,    85
.set R_BLKSIZE, 89

# The same with the numbers of a file system.
.set R_F_BLOCKS, 9
.set R_F_BFREE,  17
.set R_F_BAVAIL, 25
.set R_F_FILES,  33
.set R_F_FFREE,  41
.set R_F_BSIZE,  49
.set R_F_NAMELEN, 53
.set R_F_FRSIZE, 57
.set FUSE_SUPER_MAGIC, 0x65735546

# A stub's descriptor, which r11 points to: `syscall; jmp [rip]`, where to return, where
# the program's own `syscall` is.
.set D_RETURN,   8
.set D_ORIGINAL, 16

# Calls by which the bootstrap and the start speak to the supervisor; layout.rs has them too.
.set ASK, 0x46494E45
.set ASK_AGENT, 1
.set NO_ROOM, 2
.set ASK_RING, 3
.set DONE, 4
.set FAILED, 5

.set SIG_BLOCK, 0
.set SIG_SETMASK, 2
.set MADV_DONTFORK, 10
.set MADV_WIPEONFORK, 18
.set FUTEX_WAIT, 0
.set FUTEX_WAKE, 1
.set EINTR, 4
.set EIO, 5
.set EFAULT, 14
.set ETIMEDOUT, 110
.set AT_REMOVEDIR, 0x200
.set UTIME_NOW, 0x3fffffff
.set UTIME_OMIT, 0x3ffffffe
.set AT_FDCWD, -100
.set SYS_close, 3
.set SYS_mmap, 9
.set SYS_rt_sigprocmask, 14
.set SYS_sched_yield, 24
.set SYS_madvise, 28
.set SYS_getrlimit, 97
.set SYS_prctl, 157
.set RLIMIT_FSIZE, 1
.set XATTR_NAME_MAX, 255
.set XATTR_SIZE_MAX, 65536
.set SYS_futex, 202
.set SYS_process_vm_readv, 310
.set SYS_process_vm_writev, 311
.set SYS_statx, 332

.section .rodata.finesse_agent,"a"
.balign 4096
.globl finesse_agent_start
finesse_agent_start:

# ---- First page: calls from here always notify the supervisor.

# Called once by the bootstrap, in the only thread, which takes no signals: r8d is the
# descriptor of the agent's memory.
init:
    push rbx
    push r12
    mov ebx, r8d
    mov r12d, FAILED
    mov eax, SYS_mmap
    lea rdi, [rip + finesse_agent_start + STATE]
    mov esi, 0x20000
    mov edx, 3
    mov r10d, 0x100022
    mov r8, -1
    xor r9d, r9d
    call in_allowed
    cmp rax, rdi
    jne 9f
    # A child knows itself by that, and goes on with what its parent had in its blocks.
    mov eax, SYS_madvise
    mov esi, 0x1000
    mov edx, MADV_WIPEONFORK
    call in_allowed
    test rax, rax
    jne 9f
    mov eax, SYS_madvise
    lea rdi, [rip + finesse_agent_start + STATE + SERVED]
    call in_allowed
    test rax, rax
    jne 9f
    # Where its parent was in the middle of a call, a child finds no channel but memory of its
    # own, into which what lies above grows.
    mov eax, SYS_mmap
    lea rdi, [rip + finesse_agent_start + THE_RING + RING_LEN]
    mov esi, 0x1000
    mov edx, 3
    mov r10d, 0x100122
    mov r8, -1
    xor r9d, r9d
    call in_allowed
    cmp rax, rdi
    jne 9f
    mov eax, SYS_mmap
    mov edi, 0x050F0000
    mov esi, 0x10000
    mov edx, 5
    mov r10d, 0x100022
    mov r8, -1
    xor r9d, r9d
    call in_allowed
    cmp rax, rdi
    jne 9f
    # What Go's sites jump through; without, they stay on traps.
    mov eax, SYS_mmap
    mov edi, MOVES_TABLE
    mov esi, 0x1000
    mov edx, 1
    mov r10d, 0x100022
    mov r8, -1
    xor r9d, r9d
    call in_allowed
    mov r12d, DONE
9:  mov eax, SYS_close
    mov edi, ebx
    call in_allowed
    mov eax, SYS_prctl
    mov edi, ASK
    mov esi, r12d
    syscall
    pop r12
    pop rbx
    ret

    # Says esi to the supervisor, and goes on at r15.
ask:
    mov eax, SYS_prctl
    mov edi, ASK
    syscall
    jmp r15

# One for each slot: the supervisor waits for the reply.
.macro takeover k
.balign 128
1:  syscall
    lea rcx, [rax + EINTR]
    jrcxz 3f
2:  mov rcx, [rip + finesse_agent_start + BLOCKS + \k * BLOCK + B_R11]
    mov r11d, [rip + finesse_agent_start + BLOCKS + \k * BLOCK + B_GENERATION]
    lea r11d, [r11 + 1]
    mov [rip + finesse_agent_start + BLOCKS + \k * BLOCK + B_GENERATION], r11d
    mov rcx, [rcx + D_RETURN]
    mov qword ptr [rip + finesse_agent_start + BLOCKS + \k * BLOCK + B_CLAIM], 0
    jmp rcx
    # Said by the file system, or by the kernel as a signal came before the supervisor had
    # the call: then the slot is not free.
3:  mov ecx, [rip + finesse_agent_start + STATE + OWN + \k * 32]
    jrcxz 4f
    lahf
    seto al
    mov r11, rax
    mov rcx, [rip + finesse_agent_start + BLOCKS + \k * BLOCK + B_BELL]
    mov ecx, [rcx]
    and ecx, 7
    mov eax, r11d
    add al, 0x7f
    sahf
    mov rax, -EINTR
    jrcxz 2b
    mov rax, [rip + finesse_agent_start + BLOCKS + \k * BLOCK + B_RAX]
    jmp 1b
4:  lea rcx, [rip + finesse_agent_start + BLOCKS + \k * BLOCK]
    jmp forked
.endm
.org 0x800
takeovers:
.altmacro
.set k, 0
.rept SLOTS
    takeover %k
    .set k, k + 1
.endr

# ---- From here on the filter lets calls pass.
.org 0x1000
in_allowed:
    syscall
    ret

    # A child makes its parent's call itself; the block is in rcx, all else is the program's.
forked:
    mov rax, [rcx + B_RAX]
    mov r11, [rcx + B_R11]
    mov r11, [r11 + D_ORIGINAL]
    mov qword ptr [rcx + B_CLAIM], 0
    jmp r11

# rax: the call's number; r11: the stub's descriptor; everything else is the program's.
.balign 64
entry:
    # By its lowest byte most other calls are known not to be ours: some sites make all.
    movzx ecx, al
    movzx ecx, byte ptr [rcx + KNOWN]
    jrcxz 1f
    mov rcx, [rip + finesse_agent_start + STATE + ENABLED]
    jrcxz 1f
    jmp 2f
1:  jmp [r11 + D_ORIGINAL]
2:
.macro claim k
    mov ecx, 1
    xchg rcx, [rip + finesse_agent_start + BLOCKS + \k * BLOCK + B_CLAIM]
    jrcxz 1f
    jmp 2f
1:  lea rcx, [rip + finesse_agent_start + BLOCKS + \k * BLOCK]
    jmp claimed
2:
.endm
.set k, 0
.rept SLOTS
    claim %k
    .set k, k + 1
.endr
    jmp [r11 + D_ORIGINAL]

# The block into rcx; flags and rax as the program is to see them.
.macro leave_with field
    mov rcx, rbx
    mov rax, [rcx + B_FLAGS]
    add al, 0x7f
    sahf
    mov rax, [rcx + \field]
.endm

# The program's other registers.
.macro give_back
    mov rdi, [rcx + B_RDI]
    mov rsi, [rcx + B_RSI]
    mov rdx, [rcx + B_RDX]
    mov r10, [rcx + B_R10]
    mov r8, [rcx + B_R8]
    mov r9, [rcx + B_R9]
    mov rbx, [rcx + B_RBX]
    mov rbp, [rcx + B_RBP]
    mov r12, [rcx + B_R12]
    mov r13, [rcx + B_R13]
    mov r14, [rcx + B_R14]
    mov r15, [rcx + B_R15]
.endm

# The CPU plus one, as channel/src/placement.rs has it, into ecx: what vgetcpu
# (arch/x86/include/asm/segment.h, __CPUNODE_SEG) reads.
.macro own_cpu
    mov ecx, 0x7b
    lsl ecx, ecx
    and ecx, 0xfff
    inc ecx
.endm

# Between B_LOCAL and B_REMOTE, which is the program's: a call that answers EFAULT where a
# load or a store would fault. A child must not reach into its parent, which it would by the
# number: whoever was divided before that was fetched finds none, and after it nothing to move.
.macro own_memory number
    lea rax, [r12 + BLOCKS - STATE]
    mov rsi, rbx
    sub rsi, rax
    shr rsi, 4
    lea rsi, [r12 + rsi + IOVECS]
    lea r10, [rsi + 16]
    mov rax, [rbx + B_LOCAL]
    mov [rsi], rax
    mov rax, [rbx + B_LOCAL + 8]
    mov [rsi + 8], rax
    mov rax, [rbx + B_REMOTE]
    mov [r10], rax
    mov rax, [rbx + B_REMOTE + 8]
    mov [r10 + 8], rax
    mov edx, 1
    mov r8d, 1
    xor r9d, r9d
    mov eax, \number
    mov edi, [r12 + PID]
    syscall
.endm

# The bell in r10, of which r15 is the word: the reply was read.
.macro free_slot
    mov [r10], r15d
    inc dword ptr [rbx + B_GENERATION]
.endm

# A time of the reply at r9, to rdi and what is said.
.macro give_time from, to
    mov rax, [r9 + \from]
    mov [rdi + \to], rax
    mov eax, [r9 + \from + 8]
    mov [rdi + \to + 8], rax
.endm

# Where what its process says of the block in rbx is, from the state on, into r11.
.macro of_block
    lea rax, [r12 + BLOCKS - STATE]
    mov r11, rbx
    sub r11, rax
    shr r11, 4
.endm

# What a child has from the channel is nothing: it makes its parent's call itself, even if it has
# a channel of its own by now.
.macro only_parent
    of_block
    cmp dword ptr [r12 + r11 + OWN], 0
    je original
.endm

claimed:
    mov [rcx + B_RAX], rax
    lahf
    seto al
    mov [rcx + B_FLAGS], rax
    mov [rcx + B_R11], r11
    mov [rcx + B_RDI], rdi
    mov [rcx + B_RSI], rsi
    mov [rcx + B_RDX], rdx
    mov [rcx + B_R10], r10
    mov [rcx + B_R8], r8
    mov [rcx + B_R9], r9
    mov [rcx + B_RBX], rbx
    mov [rcx + B_RBP], rbp
    mov [rcx + B_R12], r12
    mov [rcx + B_R13], r13
    mov [rcx + B_R14], r14
    mov [rcx + B_R15], r15
    mov rbx, rcx
    lea r12, [rip + finesse_agent_start + STATE]
    of_block
    mov dword ptr [r12 + r11 + OWN], 1
    cmp qword ptr [r12 + ENABLED], POSTS
    jne fetch

    # rbp: the call's row.
    mov eax, [rbx + B_RAX]
    cmp eax, CALL_NUMBERS
    jae original
    lea rdx, [rip + finesse_agent_start + CALLS]
    movzx eax, byte ptr [rdx + rax]
    test eax, eax
    je original
    shl eax, 5
    lea rbp, [rdx + rax + CALL_NUMBERS - 32]

    movzx ecx, byte ptr [rbp + C_FLAGS]
    xor edx, edx
    jrcxz 1f
    mov edx, [rbx + rcx]
1:  mov [rbx + B_CALL_FLAGS], edx
    mov eax, [rbp + C_ALLOWED]
    not eax
    test edx, eax
    jne original
    movzx r15d, byte ptr [rbp + C_OPERATION]
    movzx ecx, byte ptr [rbp + C_OTHERWISE]
    test edx, AT_REMOVEDIR
    cmovne r15d, ecx
    mov rax, [r12 + OPERATIONS]
    bt rax, r15
    jnc pass
    mov rax, [r12 + TRAPPED]
    bt rax, r15
    jc original
    # What statx(2) or readlink(2) may refuse or do otherwise.
    movzx ecx, byte ptr [rbp + C_MASK]
    jrcxz 1f
    test dword ptr [rbx + rcx], 0xFFFFE000
    jne original
1:  movzx ecx, byte ptr [rbp + C_ROOM]
    jrcxz 1f
    cmp dword ptr [rbx + rcx], 0
    jle original

    # The request: operation, umask (later), caller, pid; the rest follows at the cursor.
1:  mov r9, [rbx + B_REQUEST]
    mov [r9 + 8], r15b
    mov ecx, [r12 + CALLER]
    mov [r9 + 11], ecx
    mov ecx, [r12 + PID]
    mov [r9 + 15], ecx
    lea rdi, [r9 + 19]
    mov [rbx + B_CURSOR], rdi

    movzx ecx, byte ptr [rbp + C_TEXT]
    jrcxz first_path
    mov r14, [rbx + rcx]
    mov dword ptr [rbx + B_ANY_TEXT], 1
    lea rax, [rip + text_read]
    mov [rbx + B_NEXT], rax
    jmp read_text
text_read:
    mov rsi, [rbx + B_PATH]
    lea rax, [rip + first_path]
    mov [rbx + B_NEXT], rax
    jmp append

first_path:
    lea rax, [rip + second_path]
    movzx ecx, byte ptr [rbp + C_DIR1]
    movzx edx, byte ptr [rbp + C_PATH1]
    # r13: directory, r14: path.
a_path:
    mov [rbx + B_AFTER], rax
    mov r13, AT_FDCWD
    jrcxz 1f
    mov r13d, [rbx + rcx]
1:  mov r14, [rbx + rdx]
    mov dword ptr [rbx + B_ANY_TEXT], 0
    lea rax, [rip + path_read]
    mov [rbx + B_NEXT], rax
    jmp read_text
second_path:
    movzx edx, byte ptr [rbp + C_PATH2]
    test edx, edx
    je attribute
    lea rax, [rip + fields]
    movzx ecx, byte ptr [rbp + C_DIR2]
    jmp a_path

    # r14 is copied by a call that answers EFAULT where a load would fault.
read_text:
    mov rsi, [rbx + B_PATH]
    xor ecx, ecx
    mov [rbx + B_SCANNED], ecx
read_more:
    mov rax, rsi
    sub rax, [rbx + B_PATH]
    mov r8d, 4096
    sub r8, rax
    jle original
    add rax, r14
    mov [rbx + B_REMOTE], rax
    and eax, 4095
    mov edx, 4096
    sub edx, eax
    cmp rdx, r8
    cmova rdx, r8
    mov [rbx + B_REMOTE + 8], rdx
    mov [rbx + B_LOCAL], rsi
    mov [rbx + B_LOCAL + 8], rdx
    own_memory SYS_process_vm_readv
    test rax, rax
    jle original
    mov rsi, [rbx + B_LOCAL]
    lea rdx, [rsi + rax]
    mov ecx, [rbx + B_SCANNED]
scan:
    cmp rsi, rdx
    je 3f
    movzx eax, byte ptr [rsi]
    test al, al
    je terminated
    cmp al, 0x2e
    jne 2f
    # A path with ".." is the kernel's, or the trap's.
    cmp cl, 0x2e
    jne 2f
    cmp dword ptr [rbx + B_ANY_TEXT], 0
    je original
2:  mov ecx, eax
    inc rsi
    jmp scan
3:  mov [rbx + B_SCANNED], ecx
    jmp read_more

terminated:
    mov rdi, [rbx + B_PATH]
    cmp rsi, rdi
    je original
    mov [rbx + B_END], rsi
    jmp [rbx + B_NEXT]

path_read:
    cmp byte ptr [rdi], 0x2f
    je absolute
    mov [rbx + B_START], rdi

    # Where the directory is, the kernel says, without asking the file system.
    mov edi, r13d
    mov edx, 0x5800
    mov r10d, 0x1104
    lea r8, [rbx + B_STATX]
    mov eax, SYS_statx
    syscall
    test rax, rax
    jne original
    mov rax, [rbx + B_STATX + 136]
    cmp rax, [r12 + DEVICE]
    jne pass
    mov rax, [rbx + B_STATX + 144]
    cmp rax, [r12 + MOUNT_ID]
    jne pass
    cmp dword ptr [rbx + B_STATX + 16], 0
    je original
    mov rax, [rbx + B_STATX + 32]
    mov rcx, [r12 + GRANTED]
    lea rdx, [r12 + GRANTS]
1:  test rcx, rcx
    je original
    cmp rax, [rdx]
    je place
    add rdx, 8
    dec rcx
    jmp 1b

absolute:
    mov rcx, [r12 + PREFIX_LEN]
    lea rdx, [r12 + PREFIX]
1:  test rcx, rcx
    je 2f
    mov al, [rdi]
    cmp al, [rdx]
    jne pass
    inc rdi
    inc rdx
    dec rcx
    jmp 1b
2:  cmp byte ptr [rdi], 0
    je original
    cmp byte ptr [rdi], 0x2f
    jne pass
3:  inc rdi
    cmp byte ptr [rdi], 0x2f
    je 3b
    cmp byte ptr [rdi], 0
    je original
    cmp qword ptr [r12 + MOUNT_OK], 0
    je original
    mov [rbx + B_START], rdi
    mov eax, 1

    # A place: the base in rax, the path.
place:
    mov rdi, [rbx + B_CURSOR]
    mov [rdi], rax
    add rdi, 8
    mov [rbx + B_CURSOR], rdi
    mov rsi, [rbx + B_START]
    mov rax, [rbx + B_AFTER]
    mov [rbx + B_NEXT], rax
    # From rsi to the end, after its length.
append:
    mov rdi, [rbx + B_CURSOR]
    mov rcx, [rbx + B_END]
    sub rcx, rsi
    mov [rdi], ecx
    add rdi, 4
    lea rdx, [rdi + rcx]
1:  mov rax, [rsi]
    mov [rdi], rax
    add rsi, 8
    add rdi, 8
    cmp rdi, rdx
    jb 1b
    mov [rbx + B_CURSOR], rdx
    jmp [rbx + B_NEXT]

    # The name of an attribute, and the value that it gets.
attribute:
    movzx ecx, byte ptr [rbp + C_NAME]
    test ecx, ecx
    je fields
    mov r14, [rbx + rcx]
    mov dword ptr [rbx + B_ANY_TEXT], 1
    lea rax, [rip + name_read]
    mov [rbx + B_NEXT], rax
    jmp read_text
name_read:
    mov rax, rsi
    sub rax, rdi
    cmp rax, XATTR_NAME_MAX
    ja original
    mov rsi, rdi
    lea rax, [rip + value]
    mov [rbx + B_NEXT], rax
    jmp append
value:
    movzx ecx, byte ptr [rbp + C_VALUE]
    test ecx, ecx
    je fields
    mov rax, [rbx + rcx]
    mov [rbx + B_REMOTE], rax
    movzx ecx, byte ptr [rbp + C_LENGTH]
    mov r13, [rbx + rcx]
    cmp r13, XATTR_SIZE_MAX
    ja original
    mov rdi, [rbx + B_CURSOR]
    mov [rdi], r13d
    add rdi, 4
    mov [rbx + B_LOCAL], rdi
    add rdi, r13
    mov [rbx + B_CURSOR], rdi
    mov [rbx + B_LOCAL + 8], r13
    mov [rbx + B_REMOTE + 8], r13
    own_memory SYS_process_vm_readv
    cmp rax, r13
    jne original

fields:
    mov rdi, [rbx + B_CURSOR]
    movzx esi, byte ptr [rbp + C_SPECIAL]
    test esi, S_ZERO
    je 1f
    mov dword ptr [rdi], 0
    add rdi, 4
1:  movzx ecx, byte ptr [rbp + C_FIELDS]
    jrcxz 5f
    mov rax, [rbx + rcx]
    test esi, S_OFFSET | S_ROOM
    jne wide
    test esi, S_MODE
    je 2f
    movzx eax, ax
2:  mov [rdi], eax
    add rdi, 4
    test esi, S_ACCESS
    je 3f
    test eax, 0xFFFFFFF8
    jne original
    # AT_EACCESS: the effective ids count.
    mov eax, [rbx + B_CALL_FLAGS]
    shr eax, 9
    and eax, 1
    mov [rdi], al
    inc rdi
3:  movzx ecx, byte ptr [rbp + C_FIELDS + 1]
    jrcxz 5f
    mov eax, [rbx + rcx]
    mov [rdi], eax
    add rdi, 4
5:  movzx ecx, byte ptr [rbp + C_TIMES]
    jrcxz follow
    mov rax, [rbx + rcx]
    test rax, rax
    jne given_times
    # Both now.
    mov word ptr [rdi], 0x0101
    add rdi, 2
follow:
    movzx ecx, byte ptr [rbp + C_FOLLOW]
    jrcxz post
    mov eax, [rbx + B_CALL_FLAGS]
    cmp ecx, 3
    ja 1f
    je 2f
    # Always, never.
    mov eax, 2
    sub eax, ecx
    jmp 3f
    # If AT_SYMLINK_FOLLOW.
1:  shr eax, 10
    jmp 3f
    # Unless AT_SYMLINK_NOFOLLOW.
2:  shr eax, 8
    not eax
3:  and eax, 1
    mov [rdi], al
    inc rdi
post:
    mov r9, [rbx + B_REQUEST]
    sub rdi, r9
    lea eax, [rdi - 8]
    mov [r9], eax

    only_parent
    # A handler may have changed what the request says of the caller, and the umask.
    cmp qword ptr [r12 + ENABLED], POSTS
    jne original
    mov cx, [r12 + UMASK]
    mov [r9 + 9], cx
    mov r10, [rbx + B_BELL]
    mov dword ptr [r10 + 4], 0
    mov eax, [rbx + B_GENERATION]
    shl eax, 3
    mov r15d, eax
    or eax, 1
    xchg [r10], eax
    mov rdi, [r12 + RING]
    test rdi, rdi
    je original
    # Where we run, for the server's threads to go elsewhere.
    own_cpu
    cmp [rdi + H_CLIENT_CPU], ecx
    je 1f
    mov [rdi + H_CLIENT_CPU], ecx
1:  cmp dword ptr [rdi + H_SPINNERS], 0
    jne watch
    cmp dword ptr [rdi + H_SLEEPERS], 0
    je watch
    add rdi, H_BELL
    lock inc dword ptr [rdi]
    mov r13, r10
    mov esi, FUTEX_WAKE
    mov edx, 1
    mov eax, SYS_futex
    syscall
    mov r10, r13
    # Until it is awake there is nothing to see.
    jmp sleep_on

    # As long as the server has a CPU of its own, and threads before us leave one: the first free
    # block is taken.
watch:
    cmp rbx, [r12 + WATCHERS]
    jae give_way
    mov r8d, 64
    lea edx, [r15 + 3]
1:  own_cpu
    cmp [rdi + H_SERVER_CPU], ecx
    je sleep
    mov ecx, 64
2:  cmp [r10], edx
    je replied
    pause
    dec ecx
    jne 2b
    dec r8d
    jne 1b

    jmp sleep

    # The CPU is for threads that have something to do, but to be woken costs the server more.
give_way:
    mov r8d, 64
    lea edx, [r15 + 3]
1:  cmp [r10], edx
    je replied
    mov eax, SYS_sched_yield
    syscall
    dec r8d
    jne 1b

    # Whoever was to look has not: another thread of the server is to.
sleep:
    lea eax, [r15 + 1]
    cmp [r10], eax
    jne 1f
    mov rdi, [r12 + RING]
    cmp dword ptr [rdi + H_SLEEPERS], 0
    je 1f
    add rdi, H_BELL
    lock inc dword ptr [rdi]
    mov r13, r10
    mov esi, FUTEX_WAKE
    mov edx, 1
    mov eax, SYS_futex
    syscall
    mov r10, r13
1:
    # The server wakes who has said so before it looked the last time (Doorbell::sleep).
sleep_on:
    mov eax, 1
    xchg [r10 + 4], eax
    mov edx, [r10]
    lea eax, [rdx - 1]
    cmp eax, r15d
    je 1f
    lea eax, [rdx - 2]
    cmp eax, r15d
    jne 2f
1:  mov r13, r10
    mov rdi, r10
    mov esi, FUTEX_WAIT
    lea r10, [rip + patience]
    mov eax, SYS_futex
    syscall
    mov r10, r13
    cmp eax, -ETIMEDOUT
    jne sleep_on
    mov edx, [r10]
2:  mov dword ptr [r10 + 4], 0
    lea eax, [r15 + 3]
    cmp edx, eax
    je replied
    # Not soon. What nobody has taken goes by the trap; for the rest the supervisor waits,
    # which sleeps better than we do.
    lea eax, [r15 + 1]
    lock cmpxchg [r10], r15d
    jne 4f
    inc dword ptr [rbx + B_GENERATION]
    jmp original
4:  only_parent
    leave_with B_RAX
    mov r11, [rcx + B_TRAP]
    jmp restore

# struct timespec: for how long a thread sleeps in the agent.
.balign 8
patience:
    .quad 0, 1000000

# The answer comes from here; r8 to r10, rcx and rdx are kept.
.macro count_served
    lea r11, [rip + finesse_agent_start + CALLS + CALL_NUMBERS]
    mov r14, rbp
    sub r14, r11
    shr r14, 2
    lock inc qword ptr [r12 + r14 + SERVED]
.endm

replied:
    mov r9, [rbx + B_REPLY]
    movzx ecx, byte ptr [r9 + 8]
    mov r8d, [r9 + 9]
    only_parent
    cmp ecx, 3
    jae results
    free_slot
    cmp ecx, 2
    je pass
    count_served
    cmp ecx, 1
    je 4f
    cmp byte ptr [rbp + C_RESULTS], 0
    jne 5f
    xor eax, eax
    jmp done
    # As large as the kernel takes from a file system, or it would repeat the call.
4:  cmp r8d, 511
    ja 5f
    mov rax, r8
    neg rax
    jmp done
5:  mov rax, -EIO
done:
    mov [rbx + B_RESULT], rax
    leave_with B_RESULT
    mov r11, [rcx + B_R11]
    mov r11, [r11 + D_RETURN]
    jmp release

    # An offset of 64 bits, or how much room there is, which counts up to a limit.
wide:
    test esi, S_ROOM
    je 1f
    mov ecx, XATTR_SIZE_MAX
    cmp rax, rcx
    cmova eax, ecx
    mov [rdi], eax
    add rdi, 4
    jmp follow
    # Beyond RLIMIT_FSIZE the kernel has more to say.
1:  mov r13, rax
    mov r14, rdi
    mov edi, RLIMIT_FSIZE
    lea rsi, [rbx + B_STATX]
    mov eax, SYS_getrlimit
    syscall
    test rax, rax
    jne original
    cmp r13, [rbx + B_STATX]
    ja original
    mov rdi, r14
    mov [rdi], r13
    add rdi, 8
    jmp follow

    # struct timespec[2], or what stands for now and for neither; with S_TIMEVAL struct
    # timeval[2], with S_UTIMBUF struct utimbuf.
given_times:
    mov [rbx + B_CURSOR], rdi
    mov [rbx + B_REMOTE], rax
    lea rcx, [rbx + B_STATX]
    mov [rbx + B_LOCAL], rcx
    mov r13d, 32
    mov r14d, esi
    test esi, S_UTIMBUF
    je 1f
    mov r13d, 16
1:  mov [rbx + B_REMOTE + 8], r13
    mov [rbx + B_LOCAL + 8], r13
    own_memory SYS_process_vm_readv
    cmp rax, r13
    jne original
    mov rdi, [rbx + B_CURSOR]
    lea rsi, [rbx + B_STATX]
    mov r8d, 2
    xor r9d, r9d
1:  mov rax, [rsi]
    mov ecx, 2
    xor edx, edx
    test r14d, S_UTIMBUF
    jne 5f
    mov rdx, [rsi + 8]
    add rsi, 8
    test r14d, S_TIMEVAL
    jne 4f
    xor ecx, ecx
    cmp rdx, UTIME_OMIT
    je 5f
    inc ecx
    cmp rdx, UTIME_NOW
    je 5f
    inc ecx
    cmp rdx, 999999999
    ja original
    jmp 5f
4:  cmp rdx, 999999
    ja original
    imul edx, edx, 1000
5:  add rsi, 8
    mov [rdi], cl
    inc rdi
    add r9d, ecx
    cmp ecx, 2
    jne 3f
    mov [rdi], rax
    mov [rdi + 8], edx
    add rdi, 12
3:  dec r8d
    jne 1b
    # Neither: nothing is looked at.
    test r9d, r9d
    je original
    jmp follow

    # A reply with content, which has to be of the kind that was asked for.
results:
    movzx edx, byte ptr [rbp + C_RESULTS]
    cmp ecx, 5
    je bytes
    cmp ecx, 6
    je size
    cmp ecx, 4
    je statfs
    cmp ecx, 3
    jne unsound
    lea rdi, [rbx + B_STATX]
    cmp edx, 2
    je statx
    cmp edx, 1
    je stat
unsound:
    free_slot
    count_served
    mov rax, -EIO
    jmp done

    # struct stat (arch/x86/include/uapi/asm/stat.h).
stat:
    mov rax, [r12 + ST_DEV]
    mov [rdi], rax
    mov rax, [r9 + R_INO]
    mov [rdi + 8], rax
    mov eax, [r9 + R_NLINK]
    mov [rdi + 16], rax
    mov eax, [r9 + R_MODE]
    mov [rdi + 24], eax
    mov eax, [r9 + R_UID]
    mov [rdi + 28], eax
    mov eax, [r9 + R_GID]
    mov [rdi + 32], rax
    mov eax, [r9 + R_RDEV]
    mov [rdi + 40], rax
    mov rax, [r9 + R_SIZE]
    mov [rdi + 48], rax
    mov eax, [r9 + R_BLKSIZE]
    mov [rdi + 56], rax
    mov rax, [r9 + R_BLOCKS]
    mov [rdi + 64], rax
    give_time R_ATIME, 72
    give_time R_MTIME, 88
    give_time R_CTIME, 104
    xor eax, eax
    mov [rdi + 120], rax
    mov [rdi + 128], rax
    mov [rdi + 136], rax
    mov edx, 144
    jmp give

    # struct statx (include/uapi/linux/stat.h), as supervisor/src/answer/layout.rs fills it.
statx:
    mov dword ptr [rdi], 0x17ff
    mov eax, [r9 + R_BLKSIZE]
    mov [rdi + 4], eax
    # STATX_ATTR_MOUNT_ROOT.
    mov rdx, [r9 + R_INO]
    mov [rdi + 32], rdx
    xor eax, eax
    mov ecx, 0x2000
    cmp rdx, 1
    cmove eax, ecx
    mov [rdi + 8], rax
    mov eax, [r9 + R_NLINK]
    mov [rdi + 16], eax
    mov eax, [r9 + R_UID]
    mov [rdi + 20], eax
    mov eax, [r9 + R_GID]
    mov [rdi + 24], eax
    movzx eax, word ptr [r9 + R_MODE]
    mov [rdi + 28], eax
    mov rax, [r9 + R_SIZE]
    mov [rdi + 40], rax
    mov rax, [r9 + R_BLOCKS]
    mov [rdi + 48], rax
    mov eax, 0x203000
    mov [rdi + 56], rax
    give_time R_ATIME, 64
    xor eax, eax
    mov [rdi + 80], rax
    mov [rdi + 88], rax
    give_time R_CTIME, 96
    give_time R_MTIME, 112
    # new_decode_dev (include/linux/kdev_t.h).
    mov eax, [r9 + R_RDEV]
    mov ecx, eax
    shr ecx, 8
    and ecx, 0xfff
    mov [rdi + 128], ecx
    mov ecx, eax
    shr ecx, 12
    and ecx, 0xfff00
    movzx eax, al
    or eax, ecx
    mov [rdi + 132], eax
    mov rax, [r12 + DEVICE]
    mov [rdi + 136], rax
    mov rax, [r12 + MOUNT_ID]
    mov [rdi + 144], rax
    xor eax, eax
    mov ecx, 152
1:  mov [rdi + rcx], rax
    add ecx, 8
    cmp ecx, 256
    jne 1b
    mov edx, 256
    jmp give

    # struct statfs (include/uapi/asm-generic/statfs.h), as supervisor/src/answer/layout.rs
    # fills it.
statfs:
    lea rdi, [rbx + B_STATX]
    cmp edx, 5
    jne unsound
    mov eax, FUSE_SUPER_MAGIC
    mov [rdi], rax
    mov ecx, [r9 + R_F_BSIZE]
    mov [rdi + 8], rcx
    mov rax, [r9 + R_F_BLOCKS]
    mov [rdi + 16], rax
    mov rax, [r9 + R_F_BFREE]
    mov [rdi + 24], rax
    mov rax, [r9 + R_F_BAVAIL]
    mov [rdi + 32], rax
    mov rax, [r9 + R_F_FILES]
    mov [rdi + 40], rax
    mov rax, [r9 + R_F_FFREE]
    mov [rdi + 48], rax
    mov eax, [r9 + R_F_NAMELEN]
    mov [rdi + 64], rax
    mov eax, [r9 + R_F_FRSIZE]
    test eax, eax
    cmove eax, ecx
    mov [rdi + 72], rax
    mov rax, [r12 + F_FLAGS]
    mov [rdi + 80], rax
    xor eax, eax
    mov [rdi + 56], rax
    mov [rdi + 88], rax
    mov [rdi + 96], rax
    mov [rdi + 104], rax
    mov [rdi + 112], rax
    mov edx, 120
    jmp give

    # How much room a value or list needs, for who gave none.
size:
    movzx ecx, byte ptr [rbp + C_FIELDS]
    cmp edx, 4
    jne unsound
    cmp qword ptr [rbx + rcx], 0
    jne unsound
    mov r8d, [r9 + 9]
    only_parent
    cmp r8d, XATTR_SIZE_MAX
    ja unsound
    free_slot
    count_served
    mov rax, r8
    jmp done

    # As much as there is room for.
bytes:
    movzx ecx, byte ptr [rbp + C_FIELDS]
    cmp edx, 4
    je 1f
    movzx ecx, byte ptr [rbp + C_ROOM]
    cmp edx, 3
    jne unsound
1:  mov rax, [rbx + rcx]
    # An int where the row has C_ROOM.
    mov ecx, eax
    cmp edx, 3
    cmove rax, rcx
    mov edx, [r9 + 9]
    cmp edx, XATTR_SIZE_MAX
    ja unsound
    cmp rdx, rax
    cmova rdx, rax
    lea rdi, [r9 + 13]

    # edx bytes at rdi to the program, by a call that answers EFAULT where a store would
    # fault; the slot is held until they are read.
give:
    mov [rbx + B_LOCAL], rdi
    mov [rbx + B_LOCAL + 8], rdx
    movzx ecx, byte ptr [rbp + C_OUT]
    mov rax, [rbx + rcx]
    mov [rbx + B_REMOTE], rax
    mov [rbx + B_REMOTE + 8], rdx
    mov r13d, edx
    own_memory SYS_process_vm_writev
    mov r10, [rbx + B_BELL]
    free_slot
    cmp rax, r13
    jne 1f
    count_served
    cmp byte ptr [rbp + C_RESULTS], 3
    je done
    cmp byte ptr [rbp + C_RESULTS], 4
    je done
    xor eax, eax
    jmp done
    # A look-up may be repeated, unless what was written was its own path.
1:  test rax, rax
    jle original
    mov rax, -EFAULT
    jmp done

    # The supervisor offers the channel. One thread maps it, which takes no signals meanwhile: its
    # handlers, and their children, are to find it mapped or not. Other threads go by the trap.
fetch:
    cmp qword ptr [r12 + ENABLED], OFFERED
    jne original
    lea rsi, [rbx + B_STATX]
    mov rdx, rsi
    mov qword ptr [rsi], -1
    mov edi, SIG_BLOCK
    mov r10d, 8
    mov eax, SYS_rt_sigprocmask
    syscall
    test rax, rax
    jne original
    mov eax, OFFERED
    mov ecx, FETCHED
    lock cmpxchg [r12 + ENABLED], rcx
    jne 4f
    mov r13d, FAILED
    mov esi, ASK_RING
    lea r15, [rip + 1f]
    jmp ask
1:  test rax, rax
    js 3f
    mov r14d, eax
    mov rdi, [r12 + RING]
    mov esi, RING_LEN
    mov edx, 3
    mov r10d, 0x100001
    mov r8d, r14d
    xor r9d, r9d
    mov eax, SYS_mmap
    syscall
    cmp rax, rdi
    jne 2f
    # A child has no business there: it may be less trusted than we are.
    mov edx, MADV_DONTFORK
    mov eax, SYS_madvise
    syscall
    test rax, rax
    jne 2f
    mov r13d, DONE
2:  mov edi, r14d
    mov eax, SYS_close
    syscall
3:  mov esi, r13d
    lea r15, [rip + 4f]
    jmp ask
4:  lea rsi, [rbx + B_STATX]
    xor edx, edx
    mov edi, SIG_SETMASK
    mov r10d, 8
    mov eax, SYS_rt_sigprocmask
    syscall
    jmp original

    # The kernel executes it, from within the stub: nothing is held meanwhile.
pass:
    lock inc qword ptr [r12 + PASSED]
    leave_with B_RAX
    mov r11, [rcx + B_R11]
    jmp release

    # The program's own instruction, which traps.
original:
    leave_with B_RAX
    mov r11, [rcx + B_R11]
    mov r11, [r11 + D_ORIGINAL]
release:
    give_back
    mov qword ptr [rcx + B_CLAIM], 0
    jmp r11
restore:
    give_back
    jmp r11

.globl finesse_agent_end
finesse_agent_end:
.balign 8
.globl finesse_agent_table
finesse_agent_table:
    .quad entry - finesse_agent_start
    .quad takeovers - finesse_agent_start

# What is put into the padding behind a program's text. A prepared site jumps to a way in,
# which executes the instructions that gave way and comes here with its descriptor in r11:
# where the site's own `syscall` is. All else is the program's.
.globl finesse_bootstrap_start
finesse_bootstrap_start:
# Whether the agent is to be brought in. The supervisor changes nothing else here once it
# is written: somebody may be on his way through at any time.
    .quad 0
    movzx ecx, byte ptr [rip + finesse_bootstrap_start]
    jrcxz 1f
    jmp 2f
1:  jmp [r11]
2:  lea rsp, [rsp - 128]
    push rax
    # Not all flags: a debugger's stays where it is.
    lahf
    seto al
    push rax
    push r11
    push rdi
    push rsi
    push rdx
    push r10
    push r8
    push r9
    # From here on no handler runs. What was begun before, a handler may have done.
    push -1
    mov eax, SYS_rt_sigprocmask
    mov edi, SIG_BLOCK
    mov rsi, rsp
    mov rdx, rsp
    mov r10d, 8
    syscall
    test rax, rax
    jne 5f
    mov eax, SYS_prctl
    mov edi, ASK
    mov esi, ASK_AGENT
    lea rdx, [rip + finesse_bootstrap_start]
    syscall
    test rax, rax
    js 4f
    mov r8d, eax
    mov eax, SYS_mmap
    movabs rdi, 0x1111111111111111
    mov esi, 0x20000
    mov edx, 5
    mov r10d, 0x100002
    xor r9d, r9d
    syscall
    cmp rax, rdi
    jne 3f
    call rax
    jmp 4f
3:  mov eax, SYS_close
    mov edi, r8d
    syscall
    mov eax, SYS_prctl
    mov edi, ASK
    mov esi, NO_ROOM
    syscall
4:  mov eax, SYS_rt_sigprocmask
    mov edi, SIG_SETMASK
    mov rsi, rsp
    xor edx, edx
    mov r10d, 8
    syscall
5:  pop rcx
    pop r9
    pop r8
    pop r10
    pop rdx
    pop rsi
    pop rdi
    pop r11
    pop rax
    add al, 0x7f
    sahf
    pop rax
    lea rsp, [rsp + 128]
    jmp [r11]
.balign 8
.globl finesse_bootstrap_end
finesse_bootstrap_end:
