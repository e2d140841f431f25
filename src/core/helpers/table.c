/* All helpers there are, by name.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#include <string.h>

static const struct anybpf_helper_row *const families[] = {
    anybpf_map_helpers,      anybpf_storage_helpers,  anybpf_time_helpers,
    anybpf_random_helpers,   anybpf_memory_helpers,   anybpf_string_helpers,
    anybpf_print_helpers,    anybpf_checksum_helpers,
    anybpf_xdp_helpers,      anybpf_skb_helpers,      anybpf_redirect_helpers,
    anybpf_ring_helpers,     anybpf_dynptr_helpers,   anybpf_loop_helpers,
    anybpf_timer_helpers,    anybpf_lock_helpers,     anybpf_process_helpers,
    anybpf_lookup_helpers,   anybpf_tail_helpers,     anybpf_windows_helpers,
    anybpf_sample_helpers,
};

const struct anybpf_helper_row *anybpf_helper_row(size_t index)
{
    size_t family;
    const struct anybpf_helper_row *row;

    for (family = 0; family < sizeof(families) / sizeof(families[0]); family++)
        for (row = families[family]; row->name != NULL; row++)
            if (index-- == 0)
                return row;
    return NULL;
}

anybpf_helper anybpf_helper_by_name(const char *name)
{
    size_t family;
    const struct anybpf_helper_row *row;

    for (family = 0; family < sizeof(families) / sizeof(families[0]); family++)
        for (row = families[family]; row->name != NULL; row++)
            if (strcmp(row->name, name) == 0)
                return row->function;
    return NULL;
}

bool anybpf_is_helper(anybpf_helper helper)
{
    size_t family;
    const struct anybpf_helper_row *row;

    for (family = 0; family < sizeof(families) / sizeof(families[0]); family++)
        for (row = families[family]; row->name != NULL; row++)
            if (row->function == helper)
                return true;
    return false;
}
