/* Type tags: what TVN_TYPE says of a struct is its real layout, and what cannot be said is refused with the reason. */
#include "check.h"
#include <complex.h>
#include <stdbool.h>
#include <stddef.h>

/* Are these one layout? Asked of a cell, which the segment forgets again. */
static int agree(size_t size, const char *one, const char *other) {
    tvn_segment_t *segment = fresh_segment();
    tvn_cell_t *cell = NULL, *again = NULL;
    is(tvn_cell(segment, "c", size, one, 0, &cell), 0);
    int answer = tvn_cell(segment, "c", size, other, 0, &again);
    tvn_cell_close(cell);
    tvn_cell_close(again);
    tvn_segment_close(segment);
    tvn_segment_unlink(fresh);
    return answer;
}

TEST(a_struct_is_described_as_it_lies_in_memory) {
    struct reading {
        int32_t sensor_id;
        float temperature;
        double time;
    };
    const char *tag = TVN_TYPE(struct reading, sensor_id, temperature, time);
    is(agree(sizeof(struct reading), tag, "T{i:sensor_id:f:temperature:d:time:}"), 0);
    is(agree(sizeof(struct reading), tag, "T{f:sensor_id:i:temperature:d:time:}"), -TVN_EINCOMPATIBLE);
    is(agree(sizeof(struct reading), tag, TVN_TYPE(struct reading, time, sensor_id, temperature)), 0); /* in any order */
    holds(tag == TVN_TYPE(struct reading, sensor_id, temperature, time)); /* one text, for ever */
}

TEST(padding_arrays_and_every_number_are_described) {
    struct all {
        bool flag;
        char name[16];
        signed char small;
        uint16_t port;
        long big;
        unsigned long long bigger;
        float vector[6];
        double _Complex z;
        long double most;
    };
    const char *tag = TVN_TYPE(struct all, flag, name, small, port, big, bigger, vector, z, most);
    char right[200];
    snprintf(right, sizeof right, "T{?:flag:16s:name:b:small:H:port:%zuxl:big:Q:bigger:(6)f:vector:Zd:z:%zuxg:most:}",
             offsetof(struct all, big) - offsetof(struct all, port) - 2,
             offsetof(struct all, most) - offsetof(struct all, z) - 16);
    is(agree(sizeof(struct all), tag, right), 0);
    *strchr(right, 'H') = 'h';
    is(agree(sizeof(struct all), tag, right), -TVN_EINCOMPATIBLE);
}

TEST(members_of_a_struct_inside_are_named_by_their_paths) {
    struct shape {
        int32_t id;
        struct {
            double x, y;
        } position;
        int32_t unnamed;
    };
    const char *tag = TVN_TYPE(struct shape, id, position.x, position.y);
    is(agree(sizeof(struct shape), tag, "T{i:id:4xd:position.x:d:position.y:8x}"), 0);
}

TEST(a_list_of_fields_describes_more_than_32_members) {
    enum { MANY = 40 };
    static char names[MANY][16];
    tvn_field_t fields[MANY + 1];
    char tag[MANY * 20] = "T{";
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        fields[i] = (tvn_field_t){names[i], "h", 2 * (size_t)i, 2};
        snprintf(tag + strlen(tag), sizeof tag - strlen(tag), "h:m%d:", i);
    }
    fields[MANY] = (tvn_field_t){NULL, NULL, 0, 0};
    strcat(tag, "}");
    is(agree(2 * MANY, tvn_type_tag(2 * MANY, fields), tag), 0);
}

TEST(an_array_of_arrays_is_described_by_hand) {
    struct grid {
        int32_t id;
        float cells[2][3];
    };
    tvn_field_t fields[] = {TVN_FIELD(struct grid, id),
                            {"cells", "f", offsetof(struct grid, cells), sizeof(((struct grid *)0)->cells)},
                            {NULL, NULL, 0, 0}};
    is(agree(sizeof(struct grid), tvn_type_tag(sizeof(struct grid), fields), "T{i:id:(2,3)f:cells:}"), 0);
}

TEST(what_cannot_lie_in_shared_memory_is_refused_with_the_reason) {
    struct linked {
        int32_t value;
        struct linked *next;
        int *numbers;
    };
    tvn_segment_t *segment = fresh_segment();
    tvn_cell_t *cell = NULL;
    is(tvn_cell(segment, "c", sizeof(struct linked), TVN_TYPE(struct linked, value, numbers), 0, &cell), -EINVAL);
    told("P");
    union {
        int32_t i;
        float f;
    } u;
    tvn_field_t overlap[] = {{"i", "i", 0, sizeof u.i}, {"f", "f", 0, sizeof u.f}, {NULL, NULL, 0, 0}};
    is(tvn_cell(segment, "c", sizeof u, tvn_type_tag(sizeof u, overlap), 0, &cell), -EINVAL);
    told("begins before the end");
    tvn_field_t behind[] = {{"i", "i", 8, 4}, {NULL, NULL, 0, 0}};
    is(tvn_cell(segment, "c", 4, tvn_type_tag(4, behind), 0, &cell), -EINVAL);
    tvn_field_t unknown[] = {{"i", "k", 0, 4}, {NULL, NULL, 0, 0}};
    is(tvn_cell(segment, "c", 4, tvn_type_tag(4, unknown), 0, &cell), -EINVAL);
    tvn_field_t nameless[] = {{"i", NULL, 0, 4}, {NULL, NULL, 0, 0}};
    is(tvn_cell(segment, "c", 4, tvn_type_tag(4, nameless), 0, &cell), -EINVAL);
    is(tvn_cell(segment, "c", 4, tvn_type_tag(4, NULL), 0, &cell), 0); /* no member: 4 bytes of padding */
    tvn_cell_close(cell);
    tvn_segment_close(segment);
}

TEST(every_channel_tells_its_type) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_options_t box = TVN_MAILBOX_OPTIONS;
    tvn_ring_options_t ring = TVN_RING_OPTIONS;
    tvn_topic_options_t topic = TVN_TOPIC_OPTIONS;
    tvn_service_options_t service = TVN_SERVICE_OPTIONS;
    box.capacity = topic.capacity = 2;
    box.message_size = topic.message_size = service.request_size = service.response_size = 8;
    for (int typed = 0; typed <= 1; typed++) {
        const char *wanted = typed ? "T{i:a:f:b:}" : "";
        const char *names[2][4] = {{"m", "r", "t", "s"}, {"M", "R", "T", "S"}};
        tvn_mailbox_t *m;
        tvn_ring_t *r;
        tvn_topic_t *t;
        tvn_service_t *s;
        box.type_tag = ring.type_tag = topic.type_tag = service.type_tag = typed ? wanted : NULL;
        is(tvn_mailbox_with(segment, names[typed][0], &box, &m), 0);
        is(tvn_ring_with(segment, names[typed][1], &ring, &r), 0);
        is(tvn_topic(segment, names[typed][2], &topic, &t), 0);
        is(tvn_service(segment, names[typed][3], &service, &s), 0);
        char told[4][16];
        is(tvn_mailbox_type(m, told[0], sizeof told[0]), strlen(wanted));
        is(tvn_ring_type(r, told[1], sizeof told[1]), strlen(wanted));
        is(tvn_topic_type(t, told[2], sizeof told[2]), strlen(wanted));
        is(tvn_service_type(s, told[3], sizeof told[3]), strlen(wanted));
        for (int i = 0; i < 4; i++) is(strcmp(told[i], wanted), 0);
        is(tvn_mailbox_type(m, NULL, 0), strlen(wanted));
        is(tvn_ring_type(r, NULL, 8), -EINVAL);
        is(tvn_topic_type(t, told[2], 4), strlen(wanted));
        is(strlen(told[2]), typed ? 3 : 0);
        tvn_mailbox_close(m);
        tvn_ring_close(r);
        tvn_topic_close(t);
        tvn_service_close(s);
    }
    is(tvn_mailbox_type(NULL, NULL, 0), -EINVAL);
    is(tvn_ring_type(NULL, NULL, 0), -EINVAL);
    is(tvn_topic_type(NULL, NULL, 0), -EINVAL);
    is(tvn_topic_is_shut_down(NULL), -EINVAL);
    is(tvn_service_type(NULL, NULL, 0), -EINVAL);
    tvn_segment_close(segment);
}

TEST(every_channel_refuses_another_layout) {
    tvn_segment_t *segment = fresh_segment();
    tvn_mailbox_options_t box = TVN_MAILBOX_OPTIONS;
    tvn_topic_options_t topic = TVN_TOPIC_OPTIONS;
    tvn_service_options_t service = TVN_SERVICE_OPTIONS;
    tvn_mailbox_t *m, *m2;
    tvn_topic_t *t, *t2;
    tvn_service_t *s, *s2;
    box.capacity = topic.capacity = 2;
    box.message_size = topic.message_size = service.request_size = service.response_size = 8;
    box.type_tag = topic.type_tag = service.type_tag = "T{i:a:f:b:}";
    is(tvn_mailbox_with(segment, "m", &box, &m), 0);
    is(tvn_topic(segment, "t", &topic, &t), 0);
    is(tvn_service(segment, "s", &service, &s), 0);
    box.type_tag = topic.type_tag = service.type_tag = "T{i:a:i:b:}";
    is(tvn_mailbox_with(segment, "m", &box, &m2), -TVN_EINCOMPATIBLE);
    told("f32");
    told("i32");
    is(tvn_topic(segment, "t", &topic, &t2), -TVN_EINCOMPATIBLE);
    told("f32");
    is(tvn_service(segment, "s", &service, &s2), -TVN_EINCOMPATIBLE);
    told("f32");
    tvn_mailbox_close(m);
    tvn_topic_close(t);
    tvn_service_close(s);
    tvn_segment_close(segment);
}
