/* CO-RE and tracing by the names that existing sources use. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

__u64 out[16];
char name[16];

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(unlink_in, int directory, struct filename *path)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	out[0] = BPF_CORE_READ(task, mm, exe_file, f_inode, i_ino);
	out[1] = BPF_CORE_READ(task, real_parent, tgid) + BPF_CORE_READ(task, tgid);
	out[2] = BPF_CORE_READ_STR_INTO(&name, task, real_parent, comm);
	out[3] = bpf_core_field_exists(task->pid) + bpf_core_field_exists(struct task_struct, mm);
	out[4] = bpf_core_field_size(task->comm) + bpf_core_field_offset(task->comm);
	out[5] = bpf_core_type_exists(struct inode) + bpf_core_type_size(struct inode);
	out[6] = bpf_core_type_matches(struct inode);
	out[7] = bpf_core_type_id_local(struct file) + bpf_core_type_id_kernel(struct file);
	out[8] = bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_HASH);
	out[9] = bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_ARRAY);
	out[10] = BPF_CORE_READ_BITFIELD_PROBED(task, level);
	out[11] = directory + (long)path;
	/* Fields of fields, a source that is an expression, an array as the last field. */
	struct file copy;
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	bpf_core_read(&copy, sizeof(copy), file);
	out[15] = BPF_CORE_READ(copy.f_inode, i_ino) + BPF_PROBE_READ(task, mm, where.low);
	BPF_CORE_READ_INTO(&name, task, mm, where.label);
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(task, comm));
	return 0;
}

SEC("kretprobe/do_unlinkat")
int BPF_KRETPROBE(unlink_out, long result)
{
	bpf_printk("unlink gave %ld", result);
	return 0;
}

SEC("ksyscall/openat")
int BPF_KSYSCALL(open_in, int directory, const char *path, int flags)
{
	out[12] = directory + flags + (long)path;
	return 0;
}

SEC("fentry/do_unlinkat")
int BPF_PROG(unlink_entry, int directory, struct filename *path)
{
	struct task_struct *task = bpf_get_current_task_btf();
	out[13] = BPF_CORE_READ_BITFIELD(task, change) + directory;
	return path != 0;
}

struct pair {
	long first;
	int second;
};

SEC("fentry/pairs")
int BPF_PROG2(pairs_entry, struct pair, pair, int, number)
{
	out[14] = pair.first + pair.second + number;
	return 0;
}

SEC("iter/task")
int BPF_PROG(each_task, struct bpf_iter_meta *meta, struct task_struct *task)
{
	BPF_SEQ_PRINTF(meta->seq, "%d %s\n", task ? task->pid : 0, name);
	return 0;
}

struct settings {
	unsigned int low : 3;
	unsigned int middle : 7;
	unsigned int high : 22;
} settings = {5, 100, 70000};

SEC("tc")
int set_middle(struct __sk_buff *skb)
{
	BPF_CORE_WRITE_BITFIELD(&settings, middle, skb->len);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
