/*
 * How glibc's allocator keeps memory, set before the first thread starts; compiled into the binary by build.rs.
 *
 * By default it takes up to eight arenas a core, and what one holds free no other can use; and after the first large
 * block was freed, large blocks come out of the arenas too, where small ones keep them from being given back. A worker
 * that wrote a large book held some 15 MiB that way on a busy machine. A chapter's text is a large block here, most of
 * what is smaller is not. Whoever sets the variables of mallopt(3) has his way.
 */
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void presswork_sets_the_allocator(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (getenv("GLIBC_TUNABLES"))
        return;
    if (!getenv("MALLOC_ARENA_MAX"))
        mallopt(M_ARENA_MAX, cores > 2 ? (int)cores : 2);
    if (!getenv("MALLOC_MMAP_THRESHOLD_"))
        mallopt(M_MMAP_THRESHOLD, 32 * 1024);
    if (!getenv("MALLOC_TRIM_THRESHOLD_"))
        mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}
