/* SPDX-License-Identifier: MIT */
/*
 * glibc's file of this name lists functions that an architecture lacks. It picks the list by
 * macros of the host's processor, and for BPF, which has none of them, asks for one that most
 * machines do not have. A BPF program calls no C library, so the list is empty.
 */
