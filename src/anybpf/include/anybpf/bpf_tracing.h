/* SPDX-License-Identifier: MIT */
/*
 * Tracing: a probed function's arguments from the registers, and programs written with the
 * arguments of the function that they trace. Registers are those of the machine that the program
 * will run on, named by __TARGET_ARCH_x86, __TARGET_ARCH_arm64 and so on.
 */
#ifndef ANYBPF_BPF_TRACING_H
#define ANYBPF_BPF_TRACING_H

#include <anybpf/bpf_helpers.h>
#include <anybpf/bpf_core_read.h>

/*
 * Where each processor's calling convention and system calls keep things, as its psABI and the
 * syscall(2) manual page tell, in the field names of the kernel's own registers (vmlinux.h) or of
 * its user-mode view. ANYBPF_REGS is the struct that has them.
 */
#if defined(__TARGET_ARCH_x86)
#if defined(__KERNEL__) || defined(__VMLINUX_H__)
#define ANYBPF_REGS struct pt_regs
#define ANYBPF_PARM1 di
#define ANYBPF_PARM2 si
#define ANYBPF_PARM3 dx
#define ANYBPF_PARM4 cx
#define ANYBPF_PARM5 r8
#define ANYBPF_PARM6 r9
#define ANYBPF_SYS1 di
#define ANYBPF_SYS2 si
#define ANYBPF_SYS3 dx
#define ANYBPF_SYS4 r10
#define ANYBPF_SYS5 r8
#define ANYBPF_SYS6 r9
#define ANYBPF_RET sp
#define ANYBPF_FP bp
#define ANYBPF_RC ax
#define ANYBPF_SP sp
#define ANYBPF_IP ip
#else
#define ANYBPF_REGS struct pt_regs
#define ANYBPF_PARM1 rdi
#define ANYBPF_PARM2 rsi
#define ANYBPF_PARM3 rdx
#define ANYBPF_PARM4 rcx
#define ANYBPF_PARM5 r8
#define ANYBPF_PARM6 r9
#define ANYBPF_SYS1 rdi
#define ANYBPF_SYS2 rsi
#define ANYBPF_SYS3 rdx
#define ANYBPF_SYS4 r10
#define ANYBPF_SYS5 r8
#define ANYBPF_SYS6 r9
#define ANYBPF_RET rsp
#define ANYBPF_FP rbp
#define ANYBPF_RC rax
#define ANYBPF_SP rsp
#define ANYBPF_IP rip
#endif
#elif defined(__TARGET_ARCH_arm64)
/* The first argument of a system call is overwritten by its result; this is the copy. */
struct pt_regs___arm64 {
	unsigned long long orig_x0;
} __attribute__((preserve_access_index));
#define ANYBPF_REGS struct user_pt_regs
#define ANYBPF_PARM1 regs[0]
#define ANYBPF_PARM2 regs[1]
#define ANYBPF_PARM3 regs[2]
#define ANYBPF_PARM4 regs[3]
#define ANYBPF_PARM5 regs[4]
#define ANYBPF_PARM6 regs[5]
#define ANYBPF_PARM7 regs[6]
#define ANYBPF_PARM8 regs[7]
#define ANYBPF_SYS1 orig_x0
#define ANYBPF_SYS2 regs[1]
#define ANYBPF_SYS3 regs[2]
#define ANYBPF_SYS4 regs[3]
#define ANYBPF_SYS5 regs[4]
#define ANYBPF_SYS6 regs[5]
#define ANYBPF_RET regs[30]
#define ANYBPF_FP regs[29]
#define ANYBPF_RC regs[0]
#define ANYBPF_SP sp
#define ANYBPF_IP pc
#define ANYBPF_SYS1_REGS struct pt_regs___arm64
#elif defined(__TARGET_ARCH_arm)
#define ANYBPF_REGS struct pt_regs
#define ANYBPF_PARM1 uregs[0]
#define ANYBPF_PARM2 uregs[1]
#define ANYBPF_PARM3 uregs[2]
#define ANYBPF_PARM4 uregs[3]
#define ANYBPF_SYS1 uregs[17]
#define ANYBPF_SYS2 uregs[1]
#define ANYBPF_SYS3 uregs[2]
#define ANYBPF_SYS4 uregs[3]
#define ANYBPF_SYS5 uregs[4]
#define ANYBPF_SYS6 uregs[5]
#define ANYBPF_RET uregs[14]
#define ANYBPF_FP uregs[11]
#define ANYBPF_RC uregs[0]
#define ANYBPF_SP uregs[13]
#define ANYBPF_IP uregs[15]
#elif defined(__TARGET_ARCH_s390)
struct pt_regs___s390 {
	unsigned long orig_gpr2;
} __attribute__((preserve_access_index));
#define ANYBPF_REGS user_pt_regs
#define ANYBPF_PARM1 gprs[2]
#define ANYBPF_PARM2 gprs[3]
#define ANYBPF_PARM3 gprs[4]
#define ANYBPF_PARM4 gprs[5]
#define ANYBPF_PARM5 gprs[6]
#define ANYBPF_SYS1 orig_gpr2
#define ANYBPF_SYS2 gprs[3]
#define ANYBPF_SYS3 gprs[4]
#define ANYBPF_SYS4 gprs[5]
#define ANYBPF_SYS5 gprs[6]
#define ANYBPF_SYS6 gprs[7]
#define ANYBPF_RET gprs[14]
#define ANYBPF_FP gprs[11]
#define ANYBPF_RC gprs[2]
#define ANYBPF_SP gprs[15]
#define ANYBPF_IP psw.addr
#define ANYBPF_SYS1_REGS struct pt_regs___s390
#elif defined(__TARGET_ARCH_riscv)
struct pt_regs___riscv {
	unsigned long orig_a0;
} __attribute__((preserve_access_index));
#define ANYBPF_REGS struct user_regs_struct
#define ANYBPF_PARM1 a0
#define ANYBPF_PARM2 a1
#define ANYBPF_PARM3 a2
#define ANYBPF_PARM4 a3
#define ANYBPF_PARM5 a4
#define ANYBPF_PARM6 a5
#define ANYBPF_PARM7 a6
#define ANYBPF_PARM8 a7
#define ANYBPF_SYS1 orig_a0
#define ANYBPF_SYS2 a1
#define ANYBPF_SYS3 a2
#define ANYBPF_SYS4 a3
#define ANYBPF_SYS5 a4
#define ANYBPF_SYS6 a5
#define ANYBPF_RET ra
#define ANYBPF_FP s0
#define ANYBPF_RC a0
#define ANYBPF_SP sp
#define ANYBPF_IP pc
#define ANYBPF_SYS1_REGS struct pt_regs___riscv
#elif defined(__TARGET_ARCH_powerpc)
#define ANYBPF_REGS struct pt_regs
#define ANYBPF_PARM1 gpr[3]
#define ANYBPF_PARM2 gpr[4]
#define ANYBPF_PARM3 gpr[5]
#define ANYBPF_PARM4 gpr[6]
#define ANYBPF_PARM5 gpr[7]
#define ANYBPF_PARM6 gpr[8]
#define ANYBPF_PARM7 gpr[9]
#define ANYBPF_PARM8 gpr[10]
#define ANYBPF_SYS1 orig_gpr3
#define ANYBPF_SYS2 gpr[4]
#define ANYBPF_SYS3 gpr[5]
#define ANYBPF_SYS4 gpr[6]
#define ANYBPF_SYS5 gpr[7]
#define ANYBPF_SYS6 gpr[8]
#define ANYBPF_RET link
#define ANYBPF_FP gpr[31]
#define ANYBPF_RC gpr[3]
#define ANYBPF_SP gpr[1]
#define ANYBPF_IP nip
#elif defined(__TARGET_ARCH_loongarch)
#define ANYBPF_REGS struct user_pt_regs
#define ANYBPF_PARM1 regs[4]
#define ANYBPF_PARM2 regs[5]
#define ANYBPF_PARM3 regs[6]
#define ANYBPF_PARM4 regs[7]
#define ANYBPF_PARM5 regs[8]
#define ANYBPF_PARM6 regs[9]
#define ANYBPF_PARM7 regs[10]
#define ANYBPF_PARM8 regs[11]
#define ANYBPF_SYS1 orig_a0
#define ANYBPF_SYS2 regs[5]
#define ANYBPF_SYS3 regs[6]
#define ANYBPF_SYS4 regs[7]
#define ANYBPF_SYS5 regs[8]
#define ANYBPF_SYS6 regs[9]
#define ANYBPF_RET regs[1]
#define ANYBPF_FP regs[22]
#define ANYBPF_RC regs[4]
#define ANYBPF_SP regs[3]
#define ANYBPF_IP csr_era
#elif defined(__TARGET_ARCH_mips)
#define ANYBPF_REGS struct pt_regs
#define ANYBPF_PARM1 regs[4]
#define ANYBPF_PARM2 regs[5]
#define ANYBPF_PARM3 regs[6]
#define ANYBPF_PARM4 regs[7]
#define ANYBPF_PARM5 regs[8]
#define ANYBPF_PARM6 regs[9]
#define ANYBPF_PARM7 regs[10]
#define ANYBPF_PARM8 regs[11]
#define ANYBPF_SYS1 regs[4]
#define ANYBPF_SYS2 regs[5]
#define ANYBPF_SYS3 regs[6]
#define ANYBPF_SYS4 regs[7]
#define ANYBPF_RET regs[31]
#define ANYBPF_FP regs[30]
#define ANYBPF_RC regs[2]
#define ANYBPF_SP regs[29]
#define ANYBPF_IP cp0_epc
#endif

#ifdef ANYBPF_REGS

#ifndef ANYBPF_SYS1_REGS
#define ANYBPF_SYS1_REGS ANYBPF_REGS
#endif

/* A plain load, where the verifier knows the registers, and a read that CO-RE relocates. */
#define ANYBPF_REG(x, reg) (((const ANYBPF_REGS *)(x))->reg)
#define ANYBPF_REG_CORE(x, reg) BPF_CORE_READ((const ANYBPF_REGS *)(x), reg)

#ifdef ANYBPF_PARM1
#define PT_REGS_PARM1(x) ANYBPF_REG(x, ANYBPF_PARM1)
#define PT_REGS_PARM1_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_PARM1)
#endif
#ifdef ANYBPF_PARM2
#define PT_REGS_PARM2(x) ANYBPF_REG(x, ANYBPF_PARM2)
#define PT_REGS_PARM2_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_PARM2)
#endif
#ifdef ANYBPF_PARM3
#define PT_REGS_PARM3(x) ANYBPF_REG(x, ANYBPF_PARM3)
#define PT_REGS_PARM3_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_PARM3)
#endif
#ifdef ANYBPF_PARM4
#define PT_REGS_PARM4(x) ANYBPF_REG(x, ANYBPF_PARM4)
#define PT_REGS_PARM4_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_PARM4)
#endif
#ifdef ANYBPF_PARM5
#define PT_REGS_PARM5(x) ANYBPF_REG(x, ANYBPF_PARM5)
#define PT_REGS_PARM5_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_PARM5)
#endif
#ifdef ANYBPF_PARM6
#define PT_REGS_PARM6(x) ANYBPF_REG(x, ANYBPF_PARM6)
#define PT_REGS_PARM6_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_PARM6)
#endif
#ifdef ANYBPF_PARM7
#define PT_REGS_PARM7(x) ANYBPF_REG(x, ANYBPF_PARM7)
#define PT_REGS_PARM7_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_PARM7)
#endif
#ifdef ANYBPF_PARM8
#define PT_REGS_PARM8(x) ANYBPF_REG(x, ANYBPF_PARM8)
#define PT_REGS_PARM8_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_PARM8)
#endif

#define PT_REGS_RET(x) ANYBPF_REG(x, ANYBPF_RET)
#define PT_REGS_RET_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_RET)
#define PT_REGS_FP(x) ANYBPF_REG(x, ANYBPF_FP)
#define PT_REGS_FP_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_FP)
#define PT_REGS_RC(x) ANYBPF_REG(x, ANYBPF_RC)
#define PT_REGS_RC_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_RC)
#define PT_REGS_SP(x) ANYBPF_REG(x, ANYBPF_SP)
#define PT_REGS_SP_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_SP)
#define PT_REGS_IP(x) ANYBPF_REG(x, ANYBPF_IP)
#define PT_REGS_IP_CORE(x) ANYBPF_REG_CORE(x, ANYBPF_IP)

/* The arguments of a system call; `x` are the registers at its entry. */
#define PT_REGS_PARM1_SYSCALL(x) (((const ANYBPF_SYS1_REGS *)(x))->ANYBPF_SYS1)
#define PT_REGS_PARM1_CORE_SYSCALL(x) BPF_CORE_READ((const ANYBPF_SYS1_REGS *)(x), ANYBPF_SYS1)
#define PT_REGS_PARM2_SYSCALL(x) ANYBPF_REG(x, ANYBPF_SYS2)
#define PT_REGS_PARM2_CORE_SYSCALL(x) ANYBPF_REG_CORE(x, ANYBPF_SYS2)
#define PT_REGS_PARM3_SYSCALL(x) ANYBPF_REG(x, ANYBPF_SYS3)
#define PT_REGS_PARM3_CORE_SYSCALL(x) ANYBPF_REG_CORE(x, ANYBPF_SYS3)
#define PT_REGS_PARM4_SYSCALL(x) ANYBPF_REG(x, ANYBPF_SYS4)
#define PT_REGS_PARM4_CORE_SYSCALL(x) ANYBPF_REG_CORE(x, ANYBPF_SYS4)
#ifdef ANYBPF_SYS5
#define PT_REGS_PARM5_SYSCALL(x) ANYBPF_REG(x, ANYBPF_SYS5)
#define PT_REGS_PARM5_CORE_SYSCALL(x) ANYBPF_REG_CORE(x, ANYBPF_SYS5)
#endif
#ifdef ANYBPF_SYS6
#define PT_REGS_PARM6_SYSCALL(x) ANYBPF_REG(x, ANYBPF_SYS6)
#define PT_REGS_PARM6_CORE_SYSCALL(x) ANYBPF_REG_CORE(x, ANYBPF_SYS6)
#endif

/*
 * Where processors wrap system calls, the wrapper's only argument points to the registers of the
 * call itself; the others pass the arguments themselves.
 */
#if defined(__TARGET_ARCH_x86) || defined(__TARGET_ARCH_arm64) || defined(__TARGET_ARCH_s390) ||  \
	defined(__TARGET_ARCH_riscv) || defined(__TARGET_ARCH_loongarch) ||                       \
	defined(__TARGET_ARCH_powerpc)
#define PT_REGS_SYSCALL_REGS(ctx) ((struct pt_regs *)PT_REGS_PARM1(ctx))
#else
#define PT_REGS_SYSCALL_REGS(ctx) (ctx)
#endif

/* Reads where the probed function will return to. */
#if defined(__TARGET_ARCH_powerpc) || defined(__TARGET_ARCH_arm64)
#define BPF_KPROBE_READ_RET_IP(ip, ctx) ({ (ip) = (unsigned long)PT_REGS_RET(ctx); })
#define BPF_KRETPROBE_READ_RET_IP BPF_KPROBE_READ_RET_IP
#else
#define BPF_KPROBE_READ_RET_IP(ip, ctx)                                                           \
	({ bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)PT_REGS_RET(ctx)); })
#define BPF_KRETPROBE_READ_RET_IP(ip, ctx)                                                        \
	({                                                                                        \
		bpf_probe_read_kernel(&(ip), sizeof(ip),                                          \
				      (void *)(PT_REGS_FP(ctx) + sizeof(ip)));                    \
	})
#endif

#else /* no registers known: programs that read none still compile */

struct pt_regs;
#define ANYBPF_NO_REGISTERS                                                                       \
	({                                                                                        \
		_Pragma("GCC error \"registers differ by machine: give -D__TARGET_ARCH_x86 or the like\""); \
		0ll;                                                                              \
	})
#define PT_REGS_PARM1(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM1_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM2(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM2_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM3(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM3_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM4(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM4_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM5(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM5_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM6(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM6_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM7(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM7_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM8(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM8_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM1_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM1_CORE_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM2_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM2_CORE_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM3_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM3_CORE_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM4_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM4_CORE_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM5_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM5_CORE_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM6_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_PARM6_CORE_SYSCALL(x) ANYBPF_NO_REGISTERS
#define PT_REGS_RET(x) ANYBPF_NO_REGISTERS
#define PT_REGS_RET_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_FP(x) ANYBPF_NO_REGISTERS
#define PT_REGS_FP_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_RC(x) ANYBPF_NO_REGISTERS
#define PT_REGS_RC_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_SP(x) ANYBPF_NO_REGISTERS
#define PT_REGS_SP_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_IP(x) ANYBPF_NO_REGISTERS
#define PT_REGS_IP_CORE(x) ANYBPF_NO_REGISTERS
#define PT_REGS_SYSCALL_REGS(ctx) ANYBPF_NO_REGISTERS
#define BPF_KPROBE_READ_RET_IP(ip, ctx) ANYBPF_NO_REGISTERS
#define BPF_KRETPROBE_READ_RET_IP(ip, ctx) ANYBPF_NO_REGISTERS

#endif /* ANYBPF_REGS */

/* ---- Programs written with the arguments of what they trace ---------------------------------- */

/* The words of the context, one per argument; conversion to the argument's type comes later. */
#define ANYBPF_WORDS_0() ctx
#define ANYBPF_WORDS_1(a) ANYBPF_WORDS_0(), (void *)ctx[0]
#define ANYBPF_WORDS_2(a, ...) ANYBPF_WORDS_1(__VA_ARGS__), (void *)ctx[1]
#define ANYBPF_WORDS_3(a, ...) ANYBPF_WORDS_2(__VA_ARGS__), (void *)ctx[2]
#define ANYBPF_WORDS_4(a, ...) ANYBPF_WORDS_3(__VA_ARGS__), (void *)ctx[3]
#define ANYBPF_WORDS_5(a, ...) ANYBPF_WORDS_4(__VA_ARGS__), (void *)ctx[4]
#define ANYBPF_WORDS_6(a, ...) ANYBPF_WORDS_5(__VA_ARGS__), (void *)ctx[5]
#define ANYBPF_WORDS_7(a, ...) ANYBPF_WORDS_6(__VA_ARGS__), (void *)ctx[6]
#define ANYBPF_WORDS_8(a, ...) ANYBPF_WORDS_7(__VA_ARGS__), (void *)ctx[7]
#define ANYBPF_WORDS_9(a, ...) ANYBPF_WORDS_8(__VA_ARGS__), (void *)ctx[8]
#define ANYBPF_WORDS_10(a, ...) ANYBPF_WORDS_9(__VA_ARGS__), (void *)ctx[9]
#define ANYBPF_WORDS_11(a, ...) ANYBPF_WORDS_10(__VA_ARGS__), (void *)ctx[10]
#define ANYBPF_WORDS_12(a, ...) ANYBPF_WORDS_11(__VA_ARGS__), (void *)ctx[11]

/*
 * The program `name`, which takes the context, calls a function that has the given parameters
 * and the body. `words` makes the arguments; where they are pointers that become numbers, the
 * compiler's warning is not wanted.
 */
#define ANYBPF_PROGRAM(name, context, words, ...)                                                 \
	name(context);                                                                            \
	static __always_inline __typeof__(name(0)) ____##name(context, ##__VA_ARGS__);            \
	__typeof__(name(0)) name(context)                                                         \
	{                                                                                         \
		_Pragma("GCC diagnostic push")                                                    \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                            \
		return ____##name(words);                                                         \
		_Pragma("GCC diagnostic pop")                                                     \
	}                                                                                         \
	static __always_inline __typeof__(name(0)) ____##name(context, ##__VA_ARGS__)

/* For fentry, fexit, fmod_ret, lsm, tp_btf, iter, struct_ops: int BPF_PROG(name, int a, …) {…} */
#define BPF_PROG(name, ...)                                                                       \
	ANYBPF_PROGRAM(name, unsigned long long *ctx,                                             \
		       ANYBPF_BY_COUNT(ANYBPF_WORDS_, ##__VA_ARGS__), ##__VA_ARGS__)

/* For kprobe and uprobe: arguments from registers. */
#define ANYBPF_REGISTERS_0() ctx
#define ANYBPF_REGISTERS_1(a) ANYBPF_REGISTERS_0(), (void *)PT_REGS_PARM1(ctx)
#define ANYBPF_REGISTERS_2(a, ...) ANYBPF_REGISTERS_1(__VA_ARGS__), (void *)PT_REGS_PARM2(ctx)
#define ANYBPF_REGISTERS_3(a, ...) ANYBPF_REGISTERS_2(__VA_ARGS__), (void *)PT_REGS_PARM3(ctx)
#define ANYBPF_REGISTERS_4(a, ...) ANYBPF_REGISTERS_3(__VA_ARGS__), (void *)PT_REGS_PARM4(ctx)
#define ANYBPF_REGISTERS_5(a, ...) ANYBPF_REGISTERS_4(__VA_ARGS__), (void *)PT_REGS_PARM5(ctx)
#define ANYBPF_REGISTERS_6(a, ...) ANYBPF_REGISTERS_5(__VA_ARGS__), (void *)PT_REGS_PARM6(ctx)
#define ANYBPF_REGISTERS_7(a, ...) ANYBPF_REGISTERS_6(__VA_ARGS__), (void *)PT_REGS_PARM7(ctx)
#define ANYBPF_REGISTERS_8(a, ...) ANYBPF_REGISTERS_7(__VA_ARGS__), (void *)PT_REGS_PARM8(ctx)
#define BPF_KPROBE(name, ...)                                                                     \
	ANYBPF_PROGRAM(name, struct pt_regs *ctx,                                                 \
		       ANYBPF_BY_COUNT(ANYBPF_REGISTERS_, ##__VA_ARGS__), ##__VA_ARGS__)
#define BPF_UPROBE(name, ...) BPF_KPROBE(name, ##__VA_ARGS__)

/* For kretprobe and uretprobe: nothing, or the value that the function returned. */
#define ANYBPF_RESULT_0() ctx
#define ANYBPF_RESULT_1(a) ctx, (void *)PT_REGS_RC(ctx)
#define BPF_KRETPROBE(name, ...)                                                                  \
	ANYBPF_PROGRAM(name, struct pt_regs *ctx,                                                 \
		       ANYBPF_BY_COUNT(ANYBPF_RESULT_, ##__VA_ARGS__), ##__VA_ARGS__)
#define BPF_URETPROBE(name, ...) BPF_KRETPROBE(name, ##__VA_ARGS__)

/*
 * For ksyscall: the arguments of a system call, whether the kernel wraps it or not. The loader
 * says which. A wrapped call's registers are not the context, so they are read by a helper.
 */
extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;

#define ANYBPF_WRAPPED_0() ctx
#define ANYBPF_WRAPPED_1(a) ANYBPF_WRAPPED_0(), (void *)PT_REGS_PARM1_CORE_SYSCALL(regs)
#define ANYBPF_WRAPPED_2(a, ...) ANYBPF_WRAPPED_1(__VA_ARGS__), (void *)PT_REGS_PARM2_CORE_SYSCALL(regs)
#define ANYBPF_WRAPPED_3(a, ...) ANYBPF_WRAPPED_2(__VA_ARGS__), (void *)PT_REGS_PARM3_CORE_SYSCALL(regs)
#define ANYBPF_WRAPPED_4(a, ...) ANYBPF_WRAPPED_3(__VA_ARGS__), (void *)PT_REGS_PARM4_CORE_SYSCALL(regs)
#define ANYBPF_WRAPPED_5(a, ...) ANYBPF_WRAPPED_4(__VA_ARGS__), (void *)PT_REGS_PARM5_CORE_SYSCALL(regs)
#define ANYBPF_WRAPPED_6(a, ...) ANYBPF_WRAPPED_5(__VA_ARGS__), (void *)PT_REGS_PARM6_CORE_SYSCALL(regs)
#define ANYBPF_UNWRAPPED_0() ctx
#define ANYBPF_UNWRAPPED_1(a) ANYBPF_UNWRAPPED_0(), (void *)PT_REGS_PARM1_SYSCALL(ctx)
#define ANYBPF_UNWRAPPED_2(a, ...) ANYBPF_UNWRAPPED_1(__VA_ARGS__), (void *)PT_REGS_PARM2_SYSCALL(ctx)
#define ANYBPF_UNWRAPPED_3(a, ...) ANYBPF_UNWRAPPED_2(__VA_ARGS__), (void *)PT_REGS_PARM3_SYSCALL(ctx)
#define ANYBPF_UNWRAPPED_4(a, ...) ANYBPF_UNWRAPPED_3(__VA_ARGS__), (void *)PT_REGS_PARM4_SYSCALL(ctx)
#define ANYBPF_UNWRAPPED_5(a, ...) ANYBPF_UNWRAPPED_4(__VA_ARGS__), (void *)PT_REGS_PARM5_SYSCALL(ctx)
#define ANYBPF_UNWRAPPED_6(a, ...) ANYBPF_UNWRAPPED_5(__VA_ARGS__), (void *)PT_REGS_PARM6_SYSCALL(ctx)
#define BPF_KSYSCALL(name, ...)                                                                   \
	name(struct pt_regs *ctx);                                                                \
	extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;                                         \
	static __always_inline __typeof__(name(0)) ____##name(struct pt_regs *ctx, ##__VA_ARGS__); \
	__typeof__(name(0)) name(struct pt_regs *ctx)                                             \
	{                                                                                         \
		struct pt_regs *regs __attribute__((unused)) =                                    \
			LINUX_HAS_SYSCALL_WRAPPER ? PT_REGS_SYSCALL_REGS(ctx) : ctx;              \
		_Pragma("GCC diagnostic push")                                                    \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                            \
		if (LINUX_HAS_SYSCALL_WRAPPER)                                                    \
			return ____##name(ANYBPF_BY_COUNT(ANYBPF_WRAPPED_, ##__VA_ARGS__));       \
		return ____##name(ANYBPF_BY_COUNT(ANYBPF_UNWRAPPED_, ##__VA_ARGS__));             \
		_Pragma("GCC diagnostic pop")                                                     \
	}                                                                                         \
	static __always_inline __typeof__(name(0)) ____##name(struct pt_regs *ctx, ##__VA_ARGS__)
#define BPF_KPROBE_SYSCALL BPF_KSYSCALL

/*
 * As BPF_PROG, where arguments may be structs of up to 16 bytes, which take two words. Types and
 * names are given in turn: int BPF_PROG2(name, struct pair, a, int, b) {…}
 */
#define ANYBPF_WORDS_OF(type) ((sizeof(type) + 7) / 8)
/* A value of less than eight bytes lies in the lower end of its word. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ANYBPF_UP(type) (sizeof(type) < 8 ? 64 - 8 * sizeof(type) : 0)
#else
#define ANYBPF_UP(type) 0
#endif
#define ANYBPF_TAKE(type, at)                                                                     \
	({                                                                                        \
		union {                                                                           \
			type value;                                                               \
			unsigned long long word[2];                                               \
		} __taken;                                                                        \
		__taken.word[0] = ctx[at] << ANYBPF_UP(type);                                     \
		if (ANYBPF_WORDS_OF(type) > 1)                                                    \
			__taken.word[1] = ctx[(at) + ANYBPF_WORDS_OF(type) - 1];                  \
		__taken.value;                                                                    \
	})
#define ANYBPF_PAIRS_0()
#define ANYBPF_PAIRS_2(type, name) , type name
#define ANYBPF_PAIRS_4(type, name, ...) , type name ANYBPF_PAIRS_2(__VA_ARGS__)
#define ANYBPF_PAIRS_6(type, name, ...) , type name ANYBPF_PAIRS_4(__VA_ARGS__)
#define ANYBPF_PAIRS_8(type, name, ...) , type name ANYBPF_PAIRS_6(__VA_ARGS__)
#define ANYBPF_PAIRS_10(type, name, ...) , type name ANYBPF_PAIRS_8(__VA_ARGS__)
#define ANYBPF_PAIRS_12(type, name, ...) , type name ANYBPF_PAIRS_10(__VA_ARGS__)
#define ANYBPF_TAKEN_0(at)
#define ANYBPF_TAKEN_2(at, type, name) , ANYBPF_TAKE(type, at)
#define ANYBPF_TAKEN_4(at, type, name, ...)                                                       \
	, ANYBPF_TAKE(type, at) ANYBPF_TAKEN_2(at + ANYBPF_WORDS_OF(type), __VA_ARGS__)
#define ANYBPF_TAKEN_6(at, type, name, ...)                                                       \
	, ANYBPF_TAKE(type, at) ANYBPF_TAKEN_4(at + ANYBPF_WORDS_OF(type), __VA_ARGS__)
#define ANYBPF_TAKEN_8(at, type, name, ...)                                                       \
	, ANYBPF_TAKE(type, at) ANYBPF_TAKEN_6(at + ANYBPF_WORDS_OF(type), __VA_ARGS__)
#define ANYBPF_TAKEN_10(at, type, name, ...)                                                      \
	, ANYBPF_TAKE(type, at) ANYBPF_TAKEN_8(at + ANYBPF_WORDS_OF(type), __VA_ARGS__)
#define ANYBPF_TAKEN_12(at, type, name, ...)                                                      \
	, ANYBPF_TAKE(type, at) ANYBPF_TAKEN_10(at + ANYBPF_WORDS_OF(type), __VA_ARGS__)
#define BPF_PROG2(name, ...)                                                                      \
	name(unsigned long long *ctx);                                                            \
	static __always_inline __typeof__(name(0)) ____##name(                                    \
		unsigned long long *ctx ANYBPF_BY_COUNT(ANYBPF_PAIRS_, ##__VA_ARGS__));           \
	__typeof__(name(0)) name(unsigned long long *ctx)                                         \
	{                                                                                         \
		return ____##name(ctx ANYBPF_JOIN(ANYBPF_TAKEN_, ANYBPF_COUNT(__VA_ARGS__))(      \
			0, ##__VA_ARGS__));                                                       \
	}                                                                                         \
	static __always_inline __typeof__(name(0)) ____##name(                                    \
		unsigned long long *ctx ANYBPF_BY_COUNT(ANYBPF_PAIRS_, ##__VA_ARGS__))

#endif /* ANYBPF_BPF_TRACING_H */
