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
.set BLOCK,    0x200
.set SLOTS,    16

# The state's first page, written by the supervisor.
.set ENABLED,    0
.set MOUNT_OK,   8
.set PID,        16
.set CALLER,     20
.set UMASK,      24
.set RING,       32
.set DEVICE,     40
.set MOUNT_ID,   48
.set SERVED,     56
.set PASSED,     64
.set PREFIX_LEN, 72
.set GRANTED,    80
.set PREFIX,     0x100
.set GRANTS,     0x400

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
.set B_GENERATION, 136
.set B_TRAP,    144
.set B_LOCAL,   152
.set B_REMOTE,  168
.set B_REQUEST, 184
.set B_REPLY,   192
.set B_BELL,    200
.set B_PATH,    208
.set B_START,   216
.set B_END,     224
.set B_STATX,   256

# Header of a channel, see docs/PROTOCOL.md.
.set H_BELL,      128
.set H_SLEEPERS,  192
.set H_SPINNERS,  256

# A stub's descriptor, which r11 points to: `syscall; jmp [rip]`, where to return, where
# the program's own `syscall` is.
.set D_RETURN,   8
.set D_ORIGINAL, 16

.set MADV_DONTFORK, 10
.set MADV_WIPEONFORK, 18
.set EINTR, 4
.set AT_FDCWD, -100
.set SYS_mmap, 9
.set SYS_close, 3
.set SYS_madvise, 28
.set SYS_futex, 202
.set SYS_process_vm_readv, 310
.set SYS_statx, 332

.section .rodata.finesse_agent,"a"
.balign 4096
.globl finesse_agent_start
finesse_agent_start:

# ---- First page: calls from here always notify the supervisor.

# Called once by the bootstrap: ebx and ebp are the descriptors of the agent's memory and of
# the ring, r12 the ring's length; the program's registers lie on the stack.
init:
    mov eax, SYS_mmap
    lea rdi, [rip + finesse_agent_start + STATE]
    mov esi, 0x20000
    mov edx, 3
    mov r10d, 0x100022
    mov r8, -1
    xor r9d, r9d
    call in_allowed
    lea rdi, [rip + finesse_agent_start + STATE]
    cmp rax, rdi
    jne 9f
    mov eax, SYS_madvise
    mov esi, 0x4000
    mov edx, MADV_WIPEONFORK
    call in_allowed
    test rax, rax
    jne 9f
    mov eax, SYS_mmap
    lea rdi, [rip + finesse_agent_start + 0x100000]
    mov rsi, r12
    mov edx, 3
    mov r10d, 0x100001
    mov r8d, ebp
    xor r9d, r9d
    call in_allowed
    lea rdi, [rip + finesse_agent_start + 0x100000]
    cmp rax, rdi
    jne 9f
    # A child has no business there: it may be less trusted than we are.
    mov eax, SYS_madvise
    mov rsi, r12
    mov edx, MADV_DONTFORK
    call in_allowed
    test rax, rax
    jne 9f
    mov eax, SYS_mmap
    mov edi, 0x050F0000
    mov esi, 0x10000
    mov edx, 1
    mov r10d, 0x100022
    mov r8, -1
    xor r9d, r9d
    call in_allowed
    cmp rax, 0x050F0000
    jne 9f
    xor r12d, r12d
    jmp 8f
9:  mov r12d, 1
8:  mov eax, SYS_close
    mov edi, ebx
    call in_allowed
    mov eax, SYS_close
    mov edi, ebp
    call in_allowed
    # The supervisor puts the program's text back before it answers.
    mov edi, r12d
    xor eax, eax
    syscall
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    popfq
    lea rsp, [rsp + 0x200]
    # A system call leaves its return address in rcx.
    jmp rcx

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
3:  lahf
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

# rax: the call's number; r11: the stub's descriptor; everything else is the program's.
.balign 64
entry:
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

    # r13: directory, r14: path, r15: operation, ebp: mode.
    mov eax, [rbx + B_RAX]
    mov r13, AT_FDCWD
    mov r14, rdi
    cmp eax, 87
    je is_unlink
    cmp eax, 84
    je is_rmdir
    cmp eax, 83
    je is_mkdir
    mov r13d, edi
    mov r14, rsi
    cmp eax, 263
    je is_unlinkat
    cmp eax, 258
    je is_mkdirat
    jmp original
is_unlinkat:
    test edx, edx
    je is_unlink
    cmp edx, 0x200
    jne original
is_rmdir:
    mov r15d, 2
    jmp read_path
is_unlink:
    mov r15d, 1
    jmp read_path
is_mkdirat:
    mov ebp, edx
    mov r15d, 3
    jmp read_path
is_mkdir:
    mov ebp, esi
    mov r15d, 3

    # The path is copied by a call that answers EFAULT where a load would fault.
read_path:
    mov rsi, [rbx + B_PATH]
    xor ecx, ecx
    mov [rbx + B_RESULT], rcx
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
    mov edi, [r12 + PID]
    lea rsi, [rbx + B_LOCAL]
    mov edx, 1
    lea r10, [rbx + B_REMOTE]
    mov r8d, 1
    xor r9d, r9d
    mov eax, SYS_process_vm_readv
    syscall
    test rax, rax
    jle original
    mov rsi, [rbx + B_LOCAL]
    lea rdx, [rsi + rax]
    mov rcx, [rbx + B_RESULT]
scan:
    cmp rsi, rdx
    je 3f
    movzx eax, byte ptr [rsi]
    test al, al
    je terminated
    cmp al, 0x2e
    jne 2f
    # ".." is the kernel's, or the trap's.
    cmp cl, 0x2e
    je original
2:  mov ecx, eax
    inc rsi
    jmp scan
3:  mov [rbx + B_RESULT], rcx
    jmp read_more

terminated:
    mov rdi, [rbx + B_PATH]
    cmp rsi, rdi
    je original
    mov [rbx + B_END], rsi
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
    je encode
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

    # rax: the base. Operation, umask, caller, pid, base, length, path, mode.
encode:
    mov r9, [rbx + B_REQUEST]
    mov [r9 + 8], r15b
    mov cx, [r12 + UMASK]
    mov [r9 + 9], cx
    mov ecx, [r12 + CALLER]
    mov [r9 + 11], ecx
    mov ecx, [r12 + PID]
    mov [r9 + 15], ecx
    mov [r9 + 19], rax
    mov rsi, [rbx + B_START]
    mov rcx, [rbx + B_END]
    sub rcx, rsi
    mov [r9 + 27], ecx
    lea rdi, [r9 + 31]
    lea rdx, [rdi + rcx]
1:  mov rax, [rsi]
    mov [rdi], rax
    add rsi, 8
    add rdi, 8
    cmp rdi, rdx
    jb 1b
    lea eax, [rcx + 23]
    cmp r15d, 3
    jne 2f
    mov [rdx], ebp
    lea eax, [rcx + 27]
2:  mov [r9], eax

    mov r10, [rbx + B_BELL]
    mov dword ptr [r10 + 4], 0
    mov eax, [rbx + B_GENERATION]
    shl eax, 3
    mov r15d, eax
    or eax, 1
    xchg [r10], eax
    mov rdi, [r12 + RING]
    cmp dword ptr [rdi + H_SPINNERS], 0
    jne 3f
    cmp dword ptr [rdi + H_SLEEPERS], 0
    je 3f
    add rdi, H_BELL
    lock inc dword ptr [rdi]
    mov r13, r10
    mov esi, 1
    mov edx, 1
    mov eax, SYS_futex
    syscall
    mov r10, r13
3:  lea edx, [r15 + 3]
    mov ecx, 4000
watch:
    mov eax, [r10]
    cmp eax, edx
    je replied
    pause
    dec ecx
    jne watch
    # Not soon. What nobody has taken goes by the trap; for the rest the supervisor waits,
    # which sleeps better than we do.
    lea eax, [r15 + 1]
    lock cmpxchg [r10], r15d
    jne 4f
    inc dword ptr [rbx + B_GENERATION]
    jmp original
4:
    leave_with B_RAX
    mov r11, [rcx + B_TRAP]
    jmp restore

replied:
    mov r9, [rbx + B_REPLY]
    movzx ecx, byte ptr [r9 + 8]
    mov r8d, [r9 + 9]
    mov [r10], r15d
    inc dword ptr [rbx + B_GENERATION]
    cmp ecx, 2
    je pass
    lock inc qword ptr [r12 + SERVED]
    cmp ecx, 1
    ja 5f
    je 4f
    xor eax, eax
    jmp done
    # As large as the kernel takes from a file system, or it would repeat the call.
4:  cmp r8d, 511
    ja 5f
    mov rax, r8
    neg rax
    jmp done
5:  mov rax, -5
done:
    mov [rbx + B_RESULT], rax
    leave_with B_RESULT
    mov r11, [rcx + B_R11]
    mov r11, [r11 + D_RETURN]
    jmp release

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

# Written over the program's text where a call returns to.
.globl finesse_bootstrap_start
finesse_bootstrap_start:
    lea rsp, [rsp - 0x200]
    pushfq
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    mov eax, SYS_mmap
    movabs rdi, 0x1111111111111111
    mov esi, 0x20000
    mov edx, 5
    mov r10d, 0x100002
    mov ebx, 0x22222222
    mov r8d, ebx
    xor r9d, r9d
    syscall
    mov ebp, 0x33333333
    mov r12d, 0x44444444
    jmp rax
.globl finesse_bootstrap_end
finesse_bootstrap_end:
