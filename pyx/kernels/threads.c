/* A pool of threads. Who waits spins for a while, for what it waits for is microseconds away; if
 * not, something else has a core: within a job it lets others on this one, and then it sleeps.
 * SPDX-License-Identifier: MIT
 */
#ifdef __linux__
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "threads.h"

enum {
    SPINS = 4000,       /* tens of microseconds */
    LONG_SPINS = 80000, /* of who came too late: what it missed will soon be asked of it again */
    MISSES = 2,
    YIELD_MICROSECONDS = 400,
    CROWDED_MICROSECONDS = 5000,
};

struct rnn_team {
    int size;
    atomic_int arrived;
    atomic_uint round;
    atomic_uint last_round;
};

typedef enum { UNDECIDED, GO, GIVE_UP } decision;

static struct {
    pthread_mutex_t busy;  /* held by the caller that has the threads */
    pthread_mutex_t sleep; /* for `changed`, which says that something waited for has happened */
    pthread_cond_t changed;
    pthread_cond_t recalled; /* says that `wanted` has grown */
    atomic_int sleepers;
    atomic_int workers; /* numbered from 1 */
    atomic_int wanted;  /* the others are aside, and take no job */
    /* The job: workers join by taking a place, whose number is their rank. Above the places that
     * are left stands the job's number, so that nobody takes one of a later job. */
    rnn_team_work *work;
    void *argument;
    rnn_team team;
    atomic_uint job;
    _Atomic(uint64_t) places;
    atomic_uint decided;
    atomic_uint finished;
    /* Microseconds that the caller's thread has lost to a team that others keep off the cores,
     * how many are too many, and until when no team is tried again then. */
    double lost, most_lost, crowded_until;
    int missed; /* teams that have not come together, in a row */
} pool = {
    .busy = PTHREAD_MUTEX_INITIALIZER,
    .sleep = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
    .recalled = PTHREAD_COND_INITIALIZER,
    .wanted = RNN_MAX_THREADS,
};

static inline void relax(void) {
#if defined(__x86_64__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static double microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

/* Whether the value has changed by the end of some spins. */
static int spin_while(atomic_uint *value, unsigned old, int spins) {
    for (; spins && atomic_load_explicit(value, memory_order_acquire) == old; spins--)
        relax();
    return spins;
}

static void sleep_while(atomic_uint *value, unsigned old) {
    pthread_mutex_lock(&pool.sleep);
    atomic_fetch_add(&pool.sleepers, 1);
    while (atomic_load(value) == old)
        pthread_cond_wait(&pool.changed, &pool.sleep);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.sleep);
}

/* Within a job. Whom a sleeper waits for will itself have to wait until the sleeper has woken, and
 * so on from step to step: so it sleeps only where that is long. Returns the microseconds for which
 * it did not spin. */
static double wait_while(atomic_uint *value, unsigned old) {
    if (spin_while(value, old, SPINS))
        return 0;
    const double begin = microseconds();
    double waited = 0;
    for (; waited < YIELD_MICROSECONDS; waited = microseconds() - begin) {
        sched_yield();
        if (spin_while(value, old, SPINS / 50))
            return waited;
    }
    sleep_while(value, old);
    return microseconds() - begin;
}

/* Wakes those that wait for a value; returns whether there were any. What has changed it was a
 * read-modify-write, which the load of `sleepers` does not overtake: a store it may overtake in an
 * emulator (QEMU 7 runs arm64's seq_cst ones so on x86). */
static int announce(void) {
    if (!atomic_load(&pool.sleepers))
        return 0;
    pthread_mutex_lock(&pool.sleep);
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.sleep);
    return 1;
}

int rnn_team_size(const rnn_team *team) { return team ? team->size : 1; }

int rnn_team_wait(rnn_team *team, int rank) {
    if (!team)
        return 1;
    const unsigned round = atomic_load_explicit(&team->round, memory_order_relaxed);
    if (rank == 0 && pool.lost > pool.most_lost)
        atomic_store(&team->last_round, round);
    if (atomic_fetch_add(&team->arrived, 1) == team->size - 1) {
        atomic_store(&team->arrived, 0);
        atomic_exchange(&team->round, round + 1);
        announce();
    } else {
        const double lost = wait_while(&team->round, round);
        if (rank == 0)
            pool.lost += lost;
    }
    return atomic_load_explicit(&team->last_round, memory_order_relaxed) != round;
}

/* Returns a rank from 1, or 0 if there is no place left for this worker. */
static int join(int number) {
    uint64_t left = atomic_load(&pool.places);
    while ((uint32_t)left && number <= atomic_load(&pool.wanted))
        if (atomic_compare_exchange_weak(&pool.places, &left, left - 1))
            return (int)(uint32_t)left;
    return 0;
}

/* A worker that wakes on the caller's core takes turns with it until the system notices that
 * another core is idle: it goes there by itself, and may leave again. */
#ifdef __linux__
static atomic_int callers_core;

static void mark_core(void) { atomic_store(&callers_core, sched_getcpu()); }

static void step_aside(void) {
    cpu_set_t all, others;
    const int core = sched_getcpu();
    if (core != atomic_load(&callers_core) || sched_getaffinity(0, sizeof all, &all))
        return;
    others = all;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others) && !sched_setaffinity(0, sizeof others, &others))
        sched_setaffinity(0, sizeof all, &all);
}
#else
static void mark_core(void) {}
static void step_aside(void) {}
#endif

/* Whether a worker is not wanted; then it sleeps until it is. */
static int stand_aside(int number) {
    if (number <= atomic_load(&pool.wanted))
        return 0;
    pthread_mutex_lock(&pool.sleep);
    while (number > atomic_load(&pool.wanted))
        pthread_cond_wait(&pool.recalled, &pool.sleep);
    pthread_mutex_unlock(&pool.sleep);
    return 1;
}

static void *worker(void *argument) {
    const int number = (int)(intptr_t)argument;
    unsigned seen = 0;
    for (int spins = SPINS;;) {
        if (!spin_while(&pool.job, seen, spins))
            sleep_while(&pool.job, seen);
        if (stand_aside(number))
            continue;
        seen = atomic_load(&pool.job);
        step_aside();
        const int rank = join(number);
        spins = rank ? SPINS : LONG_SPINS;
        if (!rank)
            continue;
        wait_while(&pool.decided, UNDECIDED);
        if (atomic_load(&pool.decided) == GO)
            pool.work(&pool.team, rank, pool.argument);
        atomic_fetch_add(&pool.finished, 1);
        announce();
    }
    return NULL;
}

#ifdef _WIN32
static void watch_forks(void) {} /* there are none */
#else
/* The child of a fork has the forking thread alone, whatever the others were about. */
static void begin_anew(void) {
    pthread_mutex_init(&pool.busy, NULL);
    pthread_mutex_init(&pool.sleep, NULL);
    pthread_cond_init(&pool.changed, NULL);
    pthread_cond_init(&pool.recalled, NULL);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.places, 0);
    atomic_store(&pool.workers, 0);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, begin_anew); }
#endif

static _Thread_local int alone;

void rnn_stay_alone(void) { alone = 1; }

int rnn_worth_sharing(int threads, double microseconds) {
    /* A worker that spins comes at once; one that sleeps comes some 50 microseconds later. */
    const int ready = pool.workers < pool.wanted ? pool.workers : pool.wanted;
    const int awake = ready >= threads - 1 && atomic_load(&pool.sleepers) == 0;
    return threads > 1 && !alone && microseconds > (awake ? 10 : 120);
}

static void begin(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
}

void rnn_keep_threads(int threads) {
    begin();
    pthread_mutex_lock(&pool.sleep);
    atomic_store(&pool.wanted, threads - 1);
    pthread_cond_broadcast(&pool.recalled);
    pthread_mutex_unlock(&pool.sleep);
}

static void hire(int workers) {
    begin();
    workers = workers < RNN_MAX_THREADS ? workers : RNN_MAX_THREADS - 1;
#ifndef _WIN32
    /* Signals are for the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
    for (pthread_t thread; pool.workers < workers; pool.workers++) {
        if (pthread_create(&thread, NULL, worker, (void *)(intptr_t)(pool.workers + 1)))
            break;
        pthread_detach(thread);
    }
#ifndef _WIN32
    pthread_sigmask(SIG_SETMASK, &before, NULL);
#endif
}

/* Has up to `places` workers join; the caller holds `busy`. */
static void open_job(int places, decision decided, rnn_team_work *work, void *argument) {
    pool.work = work;
    pool.argument = argument;
    pool.team.size = places + 1;
    atomic_store(&pool.team.arrived, 0);
    atomic_store(&pool.team.last_round, atomic_load(&pool.team.round) - 1);
    atomic_store(&pool.decided, decided);
    atomic_store(&pool.finished, 0);
    mark_core();
    atomic_store(&pool.places, (uint64_t)(atomic_load(&pool.job) + 1) << 32 | (uint32_t)places);
    atomic_fetch_add(&pool.job, 1);
    /* One that has woken on this core can step aside at once. */
    if (announce())
        sched_yield();
}

/* Lets nobody else in, and returns how many of `places` workers came. */
static unsigned close_job(int places) {
    return (unsigned)places - (uint32_t)atomic_exchange(&pool.places, 0);
}

static void wait_for(unsigned workers) {
    for (unsigned finished; (finished = atomic_load(&pool.finished)) != workers;)
        wait_while(&pool.finished, finished);
}

typedef struct {
    atomic_int next;
    int count;
    void (*work)(int i, int rank, void *argument);
    void *argument;
} shared_work;

static void work_off(rnn_team *team, int rank, void *argument) {
    shared_work *shared = argument;
    (void)team;
    for (int i; (i = atomic_fetch_add(&shared->next, 1)) < shared->count;)
        shared->work(i, rank, shared->argument);
}

void rnn_share(int threads, int count, void (*work)(int i, int rank, void *argument),
               void *argument) {
    shared_work shared = {.count = count, .work = work, .argument = argument};
    threads = threads < count ? threads : count;
    if (threads < 2 || pthread_mutex_trylock(&pool.busy)) {
        work_off(NULL, 0, &shared);
        return;
    }
    hire(threads - 1);
    open_job(threads - 1, GO, work_off, &shared);
    work_off(NULL, 0, &shared);
    wait_for(close_job(threads - 1));
    pthread_mutex_unlock(&pool.busy);
}

void rnn_together(int threads, double alone, rnn_team_work *work, void *argument) {
    /* What a sleeper takes to come, and a part of what it might save. */
    const double patience = 60 + alone / 8;
    if (threads > 1 && pthread_mutex_trylock(&pool.busy) == 0) {
        const double begin = microseconds();
        int complete = 0;
        if (begin > pool.crowded_until) {
            hire(threads - 1);
            pool.lost = 0;
            pool.most_lost = 60 + alone / 2;
            open_job(threads - 1, UNDECIDED, work, argument);
            while ((uint32_t)atomic_load(&pool.places) && microseconds() < begin + patience)
                relax();
            const unsigned came = close_job(threads - 1);
            complete = came == (unsigned)threads - 1;
            atomic_exchange(&pool.decided, complete ? GO : GIVE_UP);
            announce();
            if (complete)
                work(&pool.team, 0, argument);
            wait_for(came);
            pool.missed = complete ? 0 : pool.missed + 1;
            if (pool.missed >= MISSES || pool.lost > pool.most_lost)
                pool.crowded_until = microseconds() + CROWDED_MICROSECONDS;
        }
        pthread_mutex_unlock(&pool.busy);
        if (complete)
            return;
    }
    work(NULL, 0, argument);
}
