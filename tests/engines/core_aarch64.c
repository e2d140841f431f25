/* The core on another machine, under qemu: runs programs, interpreted and by code that is handed to
 * it. Reads commands and answers each with a line; numbers are hexadecimal, bytes hex digits.
 *
 *   layout              offsets that compiled code relies on: run.stack, run.slice, program.ops
 *   program CODE        makes a program; where code for it is to lie
 *   symbol NAME         an address
 *   code TEXT ENTRY BYTES   code for the program, of which the first TEXT bytes may be executed
 *   function SLOT PLACE     one of its functions
 *   run MEMORY          r0 and why it ended; "-" for no memory
 *   end                 the program goes
 */
#include "interpreter.h"
#include "native.h"
#include "program.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROOM (1u << 20)
#define HELPERS 6
#define MOST_FUNCTIONS 32

static struct anybpf_domain *domain;
static struct anybpf_program *program;
static uint8_t *pages;
static struct anybpf_run run;
static struct anybpf_native_functions *functions;

/* The suite's helper 5. */
static uint64_t unwind(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                       struct anybpf_run *of)
{
    (void)r2, (void)r3, (void)r4, (void)r5;
    if (r1 == 0)
        anybpf_stop_run(of, ANYBPF_THROWN);
    return r1;
}

static size_t bytes_of(const char *text, uint8_t *to)
{
    size_t count = 0;
    unsigned value;

    for (; text[0] != '\0' && text[1] != '\0' && sscanf(text, "%2x", &value) == 1; text += 2)
        to[count++] = (uint8_t)value;
    return count;
}

static void make_program(const char *text)
{
    static uint8_t code[1 << 16];
    anybpf_helper helpers[HELPERS] = {[5] = unwind};
    int64_t codes[ANYBPF_STATUSES] = {0};
    struct anybpf_program_fault fault;
    struct anybpf_program_spec spec = {
        .id = 1, .name = "test", .code = code, .size = bytes_of(text, code), .helpers = helpers,
        .helper_count = HELPERS, .codes = codes};
    int status = anybpf_program_create(domain, &spec, &program, &fault);

    if (status != ANYBPF_OK) {
        printf("status %d slot %u\n", status, fault.slot);
        return;
    }
    pages = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    functions = calloc(1, sizeof(*functions) + MOST_FUNCTIONS * sizeof(functions->item[0]));
    printf("%" PRIx64 "\n", (uint64_t)(uintptr_t)pages);
}

static void tell_symbol(const char *name)
{
    unsigned helper;
    uintptr_t address = (uintptr_t)anybpf_native_symbol(name);

    if (strcmp(name, "anybpf_ops") == 0)
        address = (uintptr_t)program->ops;
    else if (sscanf(name, "anybpf_helper_%u", &helper) == 1 && helper < HELPERS)
        address = (uintptr_t)program->helpers[helper];
    printf("%" PRIx64 "\n", (uint64_t)address);
}

static void take_code(char *text)
{
    size_t executable = strtoul(text, &text, 16);
    size_t entry = strtoul(text, &text, 16);

    bytes_of(text + 1, pages);
    __builtin___clear_cache((char *)pages, (char *)pages + executable);
    if (mprotect(pages, executable, PROT_READ | PROT_EXEC) != 0)
        exit(2);
    atomic_store(&program->native_functions, functions);
    atomic_store(&program->native, (anybpf_native)(uintptr_t)(pages + entry));
    puts("ok");
}

static void take_function(char *text)
{
    uint32_t slot = (uint32_t)strtoul(text, &text, 16);
    size_t place = strtoul(text, &text, 16);

    functions->item[functions->count].slot = slot;
    functions->item[functions->count++].function = (anybpf_helper)(uintptr_t)(pages + place);
    puts("ok");
}

static void run_it(const char *text)
{
    static uint8_t memory[1 << 16];
    size_t size = bytes_of(text, memory);
    uint32_t seat = anybpf_enter(domain, ANYBPF_ANY_CPU);
    uint64_t result;

    anybpf_run_init(&run, domain, seat);
    run.budget = 1 << 24;
    anybpf_run_set_memory(&run, size == 0 ? NULL : memory, size);
    result = anybpf_run_program(&run, program, size == 0 ? 0 : (uint64_t)(uintptr_t)memory, size);
    anybpf_leave(domain, seat);
    printf("%" PRIx64 " %x\n", result, (unsigned)run.stop.end);
}

static void end_program(void)
{
    anybpf_program_close(program, NULL, NULL);
    munmap(pages, ROOM);
    puts("ok");
}

int main(void)
{
    static char line[4 * ROOM];

    if (anybpf_domain_create(&domain, 1, false) != 0)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *rest = strchr(line, ' ');

        line[strcspn(line, "\n")] = '\0';
        if (rest != NULL)
            *rest++ = '\0';
        if (strcmp(line, "layout") == 0)
            printf("%zx %zx %zx\n", offsetof(struct anybpf_run, stack),
                   offsetof(struct anybpf_run, slice), offsetof(struct anybpf_program, ops));
        else if (strcmp(line, "program") == 0)
            make_program(rest);
        else if (strcmp(line, "symbol") == 0)
            tell_symbol(rest);
        else if (strcmp(line, "code") == 0)
            take_code(rest);
        else if (strcmp(line, "function") == 0)
            take_function(rest);
        else if (strcmp(line, "run") == 0)
            run_it(strcmp(rest, "-") == 0 ? "" : rest);
        else
            end_program();
    }
    return 0;
}
