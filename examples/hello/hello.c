#include <stdio.h>
#include <string.h>
#include <triveni.h>
int main(int argc, char **argv) { /* `hello receive` in one terminal, `hello send` in another */
    char text[257] = "";
    tvn_segment_t *segment;
    tvn_mailbox_t *box;
    if (tvn_segment_open_or_create("hello", TVN_DEFAULT_SIZE, 0600, &segment) < 0) return tvn_perror("hello"), 1;
    if (tvn_mailbox(segment, "greetings", 10, 256, &box) < 0) return tvn_perror("hello"), 1;
    if (argc > 1 && !strcmp(argv[1], "send")) return tvn_mailbox_send(box, "hello from C", 12, TVN_FOREVER) < 0;
    return tvn_mailbox_receive(box, text, 256, TVN_FOREVER) < 0 || puts(text) < 0;
}
