/* Deadlock as taught: matrices in, order, verdict, text and picture out. */
#include "check.h"

/* A. S. Tanenbaum's example, as lectures use it. */
static uint32_t existing[4] = {4, 2, 3, 1}, available[4] = {2, 1, 0, 0};
static uint32_t allocation[3][4] = {{0, 0, 1, 0}, {2, 0, 0, 1}, {0, 1, 2, 0}};
static uint32_t request[3][4] = {{2, 0, 0, 1}, {1, 0, 1, 0}, {2, 1, 0, 0}};

static tvn_deadlock_state_t textbook(void) {
    tvn_deadlock_state_t state = {.processes = 3, .classes = 4, .existing = existing, .available = available,
                                  .allocation = &allocation[0][0], .request = &request[0][0]};
    return state;
}

TEST(the_textbooks_numbers_finish_in_the_order_3_2_1) {
    tvn_deadlock_state_t state = textbook();
    size_t order[3] = {9, 9, 9};
    bool deadlocked[3] = {true, true, true};
    is(tvn_deadlock_detect(&state, order, deadlocked), 0);
    holds(order[0] == 2 && order[1] == 1 && order[2] == 0);
    holds(!deadlocked[0] && !deadlocked[1] && !deadlocked[2]);
    is(tvn_deadlock_detect(&state, NULL, NULL), 0);
    char text[4096];
    int64_t length = tvn_deadlock_text(&state, text, sizeof text);
    is(length, strlen(text));
    holds(strstr(text, "process 3 finishes and gives back 0 1 2 0") && strstr(text, "circular wait"));
    is(tvn_deadlock_text(&state, NULL, 0), length);
    is(tvn_deadlock_text(&state, text, 10), length);
    is(strlen(text), 9);
}

TEST(who_waits_for_ever_is_flagged_and_drawn) {
    tvn_deadlock_state_t state = textbook();
    const char *names[3] = {"editor", "backup", "scanner"};
    request[1][2] = 3;
    state.process_names = names;
    size_t order[3] = {9, 9, 9};
    bool deadlocked[3] = {false, false, true};
    is(tvn_deadlock_detect(&state, order, deadlocked), 2);
    holds(order[0] == 2 && order[1] == 9);
    holds(deadlocked[0] && deadlocked[1] && !deadlocked[2]);
    int64_t length = tvn_deadlock_svg(&state, NULL, 0);
    char *svg = malloc((size_t)length + 1);
    is(tvn_deadlock_svg(&state, svg, (size_t)length + 1), length);
    holds(!strncmp(svg, "<svg", 4) && strstr(svg, ">editor<") && strstr(svg, "</svg>"));
    free(svg);
    bool preemptible[4] = {false, false, true, false};
    state.preemptible = preemptible;
    is(tvn_deadlock_detect(&state, NULL, NULL), 0);
}

TEST(what_does_not_agree_is_refused_with_class_and_numbers) {
    tvn_deadlock_state_t state = textbook();
    available[2] = 1;
    is(tvn_deadlock_detect(&state, NULL, NULL), -EINVAL);
    told("of \"class 3\" 3 less 3 allocated makes 0 available, not 1");
    state.available = NULL;
    is(tvn_deadlock_detect(&state, NULL, NULL), 0);
    state.request = NULL;
    is(tvn_deadlock_detect(&state, NULL, NULL), -EINVAL);
    told("request is NULL; give 12 numbers");
    state = textbook();
    state.processes = SIZE_MAX;
    is(tvn_deadlock_detect(&state, NULL, NULL), -EINVAL);
    is(tvn_deadlock_text(&state, NULL, 0), -EINVAL);
    state.processes = 0;
    is(tvn_deadlock_svg(&state, NULL, 0), -EINVAL);
    is(tvn_deadlock_detect(NULL, NULL, NULL), -EINVAL);
    state = textbook();
    const char *twice[4] = {"a", "a", "b", NULL};
    state.class_names = twice;
    is(tvn_deadlock_detect(&state, NULL, NULL), -EINVAL);
}
