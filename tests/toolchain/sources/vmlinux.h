/* A kernel's types in miniature, in the shape in which tools print them from BTF. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef _Bool bool;

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
};

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};

struct inode {
	unsigned long i_ino;
};
struct file {
	struct inode *f_inode;
};
struct mm_struct {
	struct file *exe_file;
	struct {
		unsigned long low;
		char label[16];
	} where;
};
struct task_struct {
	int pid;
	int tgid;
	unsigned int frozen : 1;
	unsigned int level : 5;
	int change : 6;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	char comm[16];
};
struct filename {
	const char *name;
};
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter_num {
	__u64 __opaque[1];
} __attribute__((aligned(8)));
struct __sk_buff {
	__u32 len;
};

#pragma clang attribute pop
#endif
