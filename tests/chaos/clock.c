/* Moves the wall clock of one program: the seconds in the file that WAYBILL_CHAOS_CLOCK names are added to it.
 * Waits stay true: the kernel's clock has not moved, so a moment that was reckoned by this one is turned back. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const long none = 0;
static const volatile long *jump = &none;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("WAYBILL_CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *seen = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (seen != MAP_FAILED)
        jump = seen;
    close(file);
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, which, now);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        now->tv_sec += *jump;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *copy)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (copy)
        *copy = precise.tv_sec;
    return precise.tv_sec;
}

/* A condition that waits by the monotonic clock is given moments long before 2001. */
static const time_t wall_clock_from = 1000000000;
static const time_t longest_wait = 3600;

static struct timespec truly(const struct timespec *until)
{
    static long before;
    struct timespec moment = *until, now;
    if (*jump)
        before = *jump;
    if (moment.tv_sec > wall_clock_from) {
        moment.tv_sec -= *jump;
        /* Reckoned before the clock was set back, and waited for since. */
        if (!syscall(SYS_clock_gettime, CLOCK_REALTIME, &now) && moment.tv_sec - now.tv_sec > longest_wait)
            moment.tv_sec -= before;
    }
    return moment;
}

typedef int timed_wait(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    static timed_wait *honest;
    struct timespec moment = truly(until);
    if (!honest)
        honest = (timed_wait *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!honest)
        honest = (timed_wait *)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return honest(condition, mutex, &moment);
}

typedef int c11_timed_wait(cnd_t *, mtx_t *, const struct timespec *);

/* What librdkafka waits with where the C library has C11's threads. */
int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    static c11_timed_wait *honest;
    struct timespec moment = truly(until);
    if (!honest)
        honest = (c11_timed_wait *)dlsym(RTLD_NEXT, "cnd_timedwait");
    return honest(condition, mutex, &moment);
}
