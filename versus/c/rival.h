/* What a rival in C or C++ is: a shared object with these functions. Ends are made and dropped in their process; a
 * channel is made in the process that forks the others. Whatever fails returns NULL or -1 and says why. */
#ifndef VERSUS_RIVAL_H
#define VERSUS_RIVAL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct versus_spec {
    const char *name; /* nobody else uses it */
    size_t size;      /* bytes of a message */
    size_t depth;     /* messages that can be under way */
    int senders, receivers;
    int to_all;   /* each receiver gets every message */
    int blocking; /* otherwise calls return 0 when they cannot go on */
};

const char *versus_version(void);
const char *versus_why(void);
void *versus_make(const struct versus_spec *spec);
void versus_unmake(void *channel);
void *versus_tx(void *channel, int index);
void *versus_rx(void *channel, int index);
void versus_end(void *end);
int versus_send(void *tx, const void *message, size_t size); /* 1: sent; 0: full */
int versus_receive(void *rx, void *message, size_t size);    /* 1: received; 0: empty */

#ifdef __cplusplus
}
#endif

#endif
