/* Threads that work on one thing together. Private to the engine.
 * SPDX-License-Identifier: MIT
 */
#ifndef RNN_THREADS_H
#define RNN_THREADS_H

enum { RNN_MAX_THREADS = 256 };

/* Threads that run one function, each with a rank from 0; NULL stands for the caller alone. */
typedef struct rnn_team rnn_team;

int rnn_team_size(const rnn_team *team);

/* Returns when every member has called it: non-zero, or 0 for all if other programs keep the
 * members off the cores. Rank 0 then does the rest of the work alone, and the others return. */
int rnn_team_wait(rnn_team *team, int rank);

/* Has threads beyond so many, the caller's among them, take no work until there may be more. */
void rnn_keep_threads(int threads);

/* Nothing that the calling thread does is worth sharing from now on. */
void rnn_stay_alone(void);

/* Whether something that one thread does in so many microseconds is done sooner by several. */
int rnn_worth_sharing(int threads, double microseconds);

/* Runs work(i, rank, argument) for every i below `count`, in any order, on at most `threads`
 * threads, the caller's among them; on the caller's alone while another caller has the threads. */
void rnn_share(int threads, int count, void (*work)(int i, int rank, void *argument),
               void *argument);

typedef void rnn_team_work(rnn_team *team, int rank, void *argument);

/* Runs work(team, rank, argument) on exactly `threads` threads at once. If they do not come soon,
 * seen against the microseconds that it takes one thread `alone`, it is called once with a NULL
 * team. */
void rnn_together(int threads, double alone, rnn_team_work *work, void *argument);

#endif
