/* A C program that asks the malloc family for everything that the standards, and glibc where they leave it open, promise.
 * Runs on glibc's own family as well, which keeps the expectations honest. Usage: family PART; prints nothing if all is well.
 * Compiled with -fno-builtin: the compiler must not know what malloc is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition) \
    do { if (!(condition)) { printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); exit(1); } } while (0)

enum { MARK = 4711 };
static const size_t SIZES[] = {0, 1, 8, 15, 16, 17, 24, 33, 100, 129, 1000, 1025, 4096, 5000, 32768, 32769,
                               65536, 100000, 1 << 20, 2 << 20, (2 << 20) + 1, 5 << 20, 33 << 20};
enum { COUNT = sizeof SIZES / sizeof *SIZES };
/* Too much for any machine, and hidden from the compiler. */
static volatile size_t huge = PTRDIFF_MAX - 4096, most = SIZE_MAX;

static int all(const unsigned char *block, int byte, size_t len) {
    for (size_t at = 0; at < len; at++) if (block[at] != byte) return 0;
    return 1;
}

static void sizes(void) {
    void *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(SIZES[i]);
        CHECK(blocks[i] && (uintptr_t)blocks[i] % 16 == 0);
        CHECK(malloc_usable_size(blocks[i]) >= SIZES[i]);
        memset(blocks[i], i, malloc_usable_size(blocks[i]));
        for (int j = 0; j < i; j++) CHECK(blocks[j] != blocks[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(all(blocks[i], i, malloc_usable_size(blocks[i])));
        free(blocks[i]);
    }
    free(NULL);
    CHECK(malloc_usable_size(NULL) == 0);
}

static void zeroed(void) {
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < COUNT; i++) {
            unsigned char *block = calloc(SIZES[i], 1);
            CHECK(block && all(block, 0, SIZES[i]));
            memset(block, 0xff, SIZES[i]);
            free(block);
        }
}

static void resized(void) {
    for (int i = 0; i < COUNT; i++)
        for (int j = 1; j < COUNT; j++) {
            size_t less = SIZES[i] < SIZES[j] ? SIZES[i] : SIZES[j];
            unsigned char *block = malloc(SIZES[i]);
            memset(block, 3, SIZES[i]);
            block = realloc(block, SIZES[j]);
            CHECK(block && all(block, 3, less));
            memset(block, 4, SIZES[j]);
            free(block);
        }
    unsigned char *grown = NULL;
    for (size_t size = 1; size < 9000000; size += size / 7 + 1) {
        grown = realloc(grown, size);
        CHECK(grown && malloc_usable_size(grown) >= size);
        grown[size - 1] = 9, grown[0] = 8;
    }
    for (size_t size = 8000000; size > 0; size -= size / 5 + 1) {
        grown = realloc(grown, size);
        CHECK(grown && grown[0] == 8);
    }
    free(grown);
    CHECK(realloc(malloc(10), 0) == NULL);
    void *of_null = realloc(NULL, 0);
    CHECK(of_null);
    free(of_null);
    int *array = reallocarray(NULL, 1000, sizeof *array);
    CHECK(array && (array = reallocarray(array, 100000, sizeof *array)));
    free(array);
}

/* errno is only touched by what fails. */
static void errors(void) {
    errno = MARK;
    for (int i = 0; i < COUNT; i++) free(realloc(malloc(SIZES[i]), 2 * SIZES[i] + 1));
    CHECK(errno == MARK);
    unsigned char *block = memset(malloc(100), 5, 100);
#define REFUSED(call, code) do { errno = 0; CHECK((call) == NULL); CHECK(errno == (code)); } while (0)
    REFUSED(malloc(huge), ENOMEM);
    REFUSED(malloc(most), ENOMEM);
    REFUSED(calloc(huge, 1), ENOMEM);
    REFUSED(calloc(most / 2, 3), ENOMEM);
    REFUSED(calloc(most / 16 + 2, 16), ENOMEM);
    REFUSED(realloc(block, huge), ENOMEM);
    REFUSED(realloc(block, most), ENOMEM);
    REFUSED(reallocarray(block, most / 2, 3), ENOMEM);
    REFUSED(aligned_alloc(64, huge), ENOMEM);
    REFUSED(memalign(4096, most - 10), ENOMEM);
    REFUSED(valloc(huge), ENOMEM);
    REFUSED(pvalloc(most - 10), ENOMEM);
    REFUSED(memalign(most / 2 + 2, 8), EINVAL);
    CHECK(all(block, 5, 100));
    free(block);
    void *place = &place;
    errno = MARK;
    CHECK(posix_memalign(&place, 3, 8) == EINVAL && posix_memalign(&place, 4, 8) == EINVAL);
    CHECK(posix_memalign(&place, 0, 8) == EINVAL && posix_memalign(&place, 24, 8) == EINVAL);
    CHECK(errno == MARK);
    CHECK(posix_memalign(&place, 64, huge) == ENOMEM && place == &place);
    /* glibc's own sets it here, as it may. */
    if (getenv("LD_PRELOAD")) CHECK(errno == MARK);
}

static void aligned(void) {
    for (size_t align = 1; align <= 8 << 20; align *= 2)
        for (int i = 0; i < COUNT; i++) {
            void *block = memalign(align, SIZES[i]);
            CHECK(block && (uintptr_t)block % align == 0 && malloc_usable_size(block) >= SIZES[i]);
            memset(block, 1, SIZES[i]);
            void *second = aligned_alloc(align, SIZES[i]);
            CHECK(second && (uintptr_t)second % align == 0);
            free(block);
            second = realloc(second, SIZES[i] + 100);
            CHECK(second);
            memset(second, 2, SIZES[i] + 100);
            free(second);
            if (align >= sizeof(void *)) {
                CHECK(posix_memalign(&block, align, SIZES[i]) == 0 && (uintptr_t)block % align == 0);
                free(block);
            }
        }
    void *block = memalign(48, 10);
    CHECK(block && (uintptr_t)block % 64 == 0);
    free(block);
    for (int i = 0; i < COUNT; i++) {
        CHECK((block = valloc(SIZES[i])) && (uintptr_t)block % 4096 == 0);
        free(block);
        CHECK((block = pvalloc(SIZES[i])) && (uintptr_t)block % 4096 == 0);
        CHECK(malloc_usable_size(block) >= (SIZES[i] + 4095) / 4096 * 4096);
        free(block);
    }
}

/* The functions that the C library has only lately, or no longer. */
static void others(void) {
    void (*free_sized)(void *, size_t) = dlsym(RTLD_DEFAULT, "free_sized");
    void (*free_aligned_sized)(void *, size_t, size_t) = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    void (*cfree)(void *) = dlsym(RTLD_DEFAULT, "cfree");
    if (getenv("LD_PRELOAD")) CHECK(free_sized && free_aligned_sized && cfree);
    for (int i = 0; i < COUNT; i++) {
        if (free_sized) free_sized(malloc(SIZES[i]), SIZES[i]);
        if (free_aligned_sized) free_aligned_sized(aligned_alloc(64, SIZES[i]), 64, SIZES[i]);
        if (cfree) cfree(malloc(SIZES[i]));
    }
    struct mallinfo2 before = mallinfo2();
    void *blocks[1000];
    for (int i = 0; i < 1000; i++) blocks[i] = malloc(1000);
    struct mallinfo2 after = mallinfo2();
    CHECK(after.uordblks >= before.uordblks + 1000 * 1000 && after.arena >= after.fordblks);
    for (int i = 0; i < 1000; i++) free(blocks[i]);
    CHECK(mallinfo2().uordblks + 900 * 1000 <= after.uordblks);
    void *medium = malloc(1 << 20), *large = malloc(10 << 20);
    CHECK(mallinfo2().uordblks + mallinfo2().hblkhd >= before.uordblks + before.hblkhd + (11 << 20));
    /* By its name, since it is deprecated. */
    struct mallinfo (*narrow)(void) = dlsym(RTLD_DEFAULT, "mallinfo");
    CHECK(narrow && (size_t)narrow().uordblks == mallinfo2().uordblks);
    free(medium), free(large);
    malloc_trim(0);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

/* Threads that free each other's blocks, and whose keys' destructors allocate and free after the allocator's own. */
enum { THREADS = 4, ROUNDS = 20000, PLACES = 512 };
static void *places[PLACES];
static pthread_key_t keys[3];

static void last_words(void *block) {
    free(block);
    errno = MARK;
    free(realloc(memset(malloc(300), 1, 300), 70000));
    free(malloc(3 << 20));
    CHECK(errno == MARK);
}

static void *busy(void *seed) {
    unsigned random = (uintptr_t)seed;
    for (int key = 0; key < 3; key++) pthread_setspecific(keys[key], malloc(100 + key));
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 1103515245 + 12345;
        size_t size = random >> 16 & (round % 100 ? 2047 : 262143);
        unsigned char *block = malloc(size + 1);
        block[0] = block[size] = 77;
        unsigned char *other = __atomic_exchange_n((void **)&places[random >> 8 & (PLACES - 1)], block, __ATOMIC_ACQ_REL);
        if (other) {
            CHECK(other[0] == 77);
            free(other);
        }
    }
    return malloc(50);
}

static void threads(void) {
    for (int key = 0; key < 3; key++) CHECK(pthread_key_create(&keys[key], last_words) == 0);
    for (int generation = 0; generation < 4; generation++) {
        pthread_t made[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&made[i], NULL, busy, (void *)(i + 1)) == 0);
        for (int i = 0; i < THREADS; i++) {
            void *last;
            CHECK(pthread_join(made[i], &last) == 0);
            free(last);
        }
    }
    for (int i = 0; i < PLACES; i++) free(places[i]);
}

/* Children of a busy process, which allocate, make threads and end by exit. */
static _Atomic int stop;
static void *until_stopped(void *unused) {
    (void)unused;
    while (!stop) for (size_t size = 1; size < 30000000; size *= 3) free(realloc(malloc(size), size * 2));
    return NULL;
}

static void forks(void) {
    pthread_t made[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&made[i], NULL, until_stopped, NULL) == 0);
    for (int child = 0; child < 30; child++) {
        pid_t id = fork();
        CHECK(id >= 0);
        if (id == 0) {
            pthread_t own;
            for (int i = 0; i < COUNT; i++) free(malloc(SIZES[i]));
            stop = 1;
            CHECK(pthread_create(&own, NULL, until_stopped, NULL) == 0 && pthread_join(own, NULL) == 0);
            exit(0);
        }
        int status;
        CHECK(waitpid(id, &status, 0) == id && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) CHECK(pthread_join(made[i], NULL) == 0);
}

/* A program of one thread stays so, whatever it frees. */
static void alone(void) {
    for (int round = 0; round < 100; round++) {
        free(memset(malloc(1 << 20), 1, 1 << 20));
        usleep(12000);
    }
    FILE *status = fopen("/proc/self/status", "r");
    char line[200];
    int count = 0;
    while (fgets(line, sizeof line, status)) sscanf(line, "Threads: %d", &count);
    fclose(status);
    CHECK(count == 1);
}

/* Broken uses, which end the process: for this library only. */
static void broken_twice(void) {
    void *block = malloc(40);
    free(block);
    free(block);
}

static void broken_foreign(void) {
    static char space[64];
    free(space + 16);
}

static void broken_inside(void) {
    char *block = malloc(400);
    free(block + 16);
}

int main(int count, char **words) {
    static const struct { const char *name; void (*run)(void); } PARTS[] = {
        {"sizes", sizes}, {"zeroed", zeroed}, {"resized", resized}, {"errors", errors}, {"aligned", aligned},
        {"others", others}, {"threads", threads}, {"forks", forks}, {"alone", alone}, {"broken_twice", broken_twice},
        {"broken_foreign", broken_foreign}, {"broken_inside", broken_inside},
    };
    for (size_t i = 0; count == 2 && i < sizeof PARTS / sizeof *PARTS; i++)
        if (strcmp(PARTS[i].name, words[1]) == 0) {
            PARTS[i].run();
            return 0;
        }
    printf("usage: %s PART\n", words[0]);
    return 2;
}
