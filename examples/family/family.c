/*
 * The chain and the fan: n processes from one loop of fork(). In a chain the child goes on in the loop, so each process
 * is the parent of the next; in a fan the parent goes on, so all are its children.
 *
 *     family        makes both, four processes each, and draws them
 */
#include <stdio.h>
#include <stdlib.h>
#include <triveni.h>

static int64_t must(int64_t result) {
    if (result < 0) tvn_perror("family"), exit(1);
    return result;
}

static void show(const char *what, tvn_family_t *family) {
    char drawing[4096];
    tvn_tree_node_t nodes[16];
    int depth = 0;
    must(tvn_process_tree_draw(0, drawing, sizeof drawing));
    int64_t count = must(tvn_process_tree(0, nodes, 16));
    for (int i = 0; i < count && i < 16; i++)
        if (nodes[i].depth > depth) depth = nodes[i].depth;
    printf("%s%s: %d processes, %d steps below this one\n", drawing, what, (int)must(tvn_family_members(family, NULL, 0)),
           depth);
    tvn_family_close(family); /* they end */
}

int main(void) {
    tvn_family_t *family;
    must(tvn_chain(4, &family));
    show("chain", family);
    must(tvn_fan(4, &family));
    show("fan", family);
    return 0;
}
