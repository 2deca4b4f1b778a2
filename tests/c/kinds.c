/* Every channel between two processes, in every kind of segment: named, a sealed memfd sent to the other, forked. */
#include "check.h"
#include <sys/socket.h>

enum { N = 40, PATIENCE_MS = 30000 };

typedef struct {
    void (*make)(tvn_segment_t *);
    void (*send)(tvn_segment_t *);
    void (*receive)(tvn_segment_t *);
} channel_t;

/* Message number k: as many bytes as its last digit says, all of them k. */
static size_t fill(char *message, int k) {
    memset(message, k, 16);
    return (size_t)(k % 10);
}

static void same(const void *message, int64_t size, int k) {
    char expected[16];
    is(size, fill(expected, k));
    is(memcmp(message, expected, (size_t)size), 0);
}

#define EACH for (int k = 0; k < N; k++)

static tvn_mailbox_options_t mailbox_options(size_t capacity, uint32_t unbounded, uint32_t order) {
    tvn_mailbox_options_t options = TVN_MAILBOX_OPTIONS;
    options.capacity = capacity, options.message_size = 16, options.unbounded = unbounded, options.order = order;
    return options;
}

static void make_mailbox(tvn_segment_t *segment, tvn_mailbox_options_t options) {
    tvn_mailbox_t *box;
    is(tvn_mailbox_create_with(segment, "m", &options, &box), 0);
    tvn_mailbox_close(box);
}

static void make_bounded(tvn_segment_t *segment) { make_mailbox(segment, mailbox_options(4, 0, TVN_FIFO)); }
static void make_rendezvous(tvn_segment_t *segment) { make_mailbox(segment, mailbox_options(0, 0, TVN_FIFO)); }
static void make_unbounded(tvn_segment_t *segment) { make_mailbox(segment, mailbox_options(4096, 1, TVN_FIFO)); }
static void make_sorted(tvn_segment_t *segment) { make_mailbox(segment, mailbox_options(4, 0, TVN_PRIORITY)); }

static void mailbox_send(tvn_segment_t *segment) {
    tvn_mailbox_t *box;
    char message[16];
    is(tvn_mailbox_open(segment, "m", &box), 0);
    EACH is(tvn_mailbox_send(box, message, fill(message, k), PATIENCE_MS), 0);
    tvn_mailbox_close(box);
}

static void mailbox_receive(tvn_segment_t *segment) {
    tvn_mailbox_t *box;
    char message[16];
    is(tvn_mailbox_open(segment, "m", &box), 0);
    EACH same(message, tvn_mailbox_receive(box, message, sizeof message, PATIENCE_MS), k);
    tvn_mailbox_close(box);
}

static void make_ring_with(tvn_segment_t *segment, size_t record_size, int exact_wake) {
    tvn_ring_options_t options = TVN_RING_OPTIONS;
    tvn_ring_t *ring;
    options.ring_size = record_size ? 0 : 512, options.record_size = record_size, options.exact_wake = exact_wake;
    options.capacity = record_size ? 8 : 0;
    is(tvn_ring_create_with(segment, "r", &options, &ring), 0);
    tvn_ring_close(ring);
}

static void make_ring(tvn_segment_t *segment) { make_ring_with(segment, 0, 0); }
static void make_exact_ring(tvn_segment_t *segment) { make_ring_with(segment, 0, 1); }
static void make_packed_ring(tvn_segment_t *segment) { make_ring_with(segment, sizeof(int), 0); }

static void ring_send(tvn_segment_t *segment) {
    tvn_ring_t *ring;
    tvn_producer_t *producer;
    char message[16];
    is(tvn_ring_open(segment, "r", &ring), 0);
    is(tvn_ring_producer(ring, &producer), 0);
    EACH if (tvn_ring_record_size(ring)) is(tvn_producer_write_packed(producer, &k, 1, PATIENCE_MS), 0);
    else is(tvn_producer_write(producer, message, fill(message, k), PATIENCE_MS), 0);
    tvn_producer_close(producer);
    tvn_ring_close(ring);
}

static void ring_receive(tvn_segment_t *segment) {
    tvn_ring_t *ring;
    tvn_consumer_t *consumer;
    char message[16];
    int number = -1;
    is(tvn_ring_open(segment, "r", &ring), 0);
    is(tvn_ring_consumer(ring, &consumer), 0);
    EACH if (tvn_ring_record_size(ring)) {
        is(tvn_consumer_read_packed(consumer, &number, 1, PATIENCE_MS), 1);
        is(number, k);
    } else same(message, tvn_consumer_read(consumer, message, sizeof message, PATIENCE_MS), k);
    tvn_consumer_close(consumer);
    tvn_ring_close(ring);
}

static void make_topic_with(tvn_segment_t *segment, uint32_t policy) {
    tvn_topic_options_t options = TVN_TOPIC_OPTIONS;
    tvn_topic_t *topic;
    options.capacity = 64, options.message_size = 16, options.policy = policy;
    is(tvn_topic_create(segment, "t", &options, &topic), 0);
    tvn_topic_close(topic);
}

static void make_topic(tvn_segment_t *segment) { make_topic_with(segment, TVN_BLOCK); }
static void make_oldest_topic(tvn_segment_t *segment) { make_topic_with(segment, TVN_DROP_OLDEST); }
static void make_newest_topic(tvn_segment_t *segment) { make_topic_with(segment, TVN_DROP_NEWEST); }

static void topic_send(tvn_segment_t *segment) {
    tvn_topic_t *topic;
    tvn_publisher_t *publisher;
    char message[16];
    is(tvn_topic_open(segment, "t", &topic), 0);
    is(tvn_topic_publisher(topic, &publisher), 0);
    EACH is(tvn_publisher_publish(publisher, message, fill(message, k), PATIENCE_MS), 1);
    is(tvn_publisher_shutdown(publisher), 0);
    tvn_publisher_close(publisher);
    tvn_topic_close(topic);
}

static void topic_receive(tvn_segment_t *segment) {
    tvn_topic_t *topic;
    tvn_subscriber_t *subscriber;
    char message[16];
    is(tvn_topic_open(segment, "t", &topic), 0);
    is(tvn_topic_subscriber(topic, TVN_OLDEST, &subscriber), 0);
    EACH same(message, tvn_subscriber_receive(subscriber, message, sizeof message, PATIENCE_MS), k);
    is(tvn_subscriber_receive(subscriber, message, sizeof message, PATIENCE_MS), -EPIPE);
    tvn_subscriber_close(subscriber);
    tvn_topic_close(topic);
}

static void make_service(tvn_segment_t *segment) {
    tvn_service_options_t options = TVN_SERVICE_OPTIONS;
    tvn_service_t *service;
    options.request_size = options.response_size = 16;
    is(tvn_service_create(segment, "s", &options, &service), 0);
    tvn_service_close(service);
}

static void service_call(tvn_segment_t *segment) {
    tvn_service_t *service;
    char message[16], answer[16];
    is(tvn_service_open(segment, "s", &service), 0);
    EACH {
        size_t size = fill(message, k);
        same(answer, tvn_service_call(service, message, size, answer, sizeof answer, PATIENCE_MS), k);
    }
    is(tvn_service_shutdown(service), 0);
    tvn_service_close(service);
}

static void service_serve(tvn_segment_t *segment) {
    tvn_service_t *service;
    tvn_request_t request;
    int64_t size;
    is(tvn_service_open(segment, "s", &service), 0);
    EACH {
        size = tvn_service_receive(service, PATIENCE_MS, &request);
        same(request.bytes, size, k);
        is(tvn_request_reply(service, &request, request.bytes, (size_t)size), 1);
    }
    is(tvn_service_receive(service, PATIENCE_MS, &request), -EPIPE);
    tvn_service_close(service);
}

static void make_port(tvn_segment_t *segment) {
    tvn_semaphore_t *taken;
    is(tvn_semaphore(segment, "taken", 0, &taken), 0);
    tvn_semaphore_close(taken);
}

/* Calls, each with a right to answer; then a right to receive goes there and back. */
static void port_call(tvn_segment_t *segment) {
    tvn_port_options_t small = {0, 16, 0};
    tvn_semaphore_t *taken;
    tvn_port_t *to, *given, *to_given, *home, *answer;
    tvn_delivery_t delivery;
    char message[1024], answered[1024];
    is(tvn_semaphore(segment, "taken", 0, &taken), 0);
    is(tvn_semaphore_wait(taken, PATIENCE_MS), 0);
    is(tvn_port_open(segment, "p", &to), 0);
    EACH {
        size_t size = fill(message, k);
        same(answered, tvn_port_call(to, message, size, answered, sizeof answered, NULL, PATIENCE_MS), k);
    }
    is(tvn_port_create(segment, "given", &small, &given), 0);
    is(tvn_port_send_right(given, &to_given), 0);
    is(tvn_port_send(to_given, "left in it", 10, PATIENCE_MS), 0);
    is(tvn_port_create(segment, "home", NULL, &home), 0);
    is(tvn_port_send_once_right(home, &answer), 0);
    const tvn_port_t *rights[] = {given, answer};
    is(tvn_port_send_rights(to, "last", 4, rights, 2, PATIENCE_MS), 0);
    is(tvn_port_receive(home, message, sizeof message, &delivery, PATIENCE_MS), 0);
    is(delivery.count, 1);
    is(tvn_port_receive(delivery.rights[0], message, sizeof message, NULL, PATIENCE_MS), 5);
    is(memcmp(message, "added", 5), 0);
    tvn_port_t *all[] = {delivery.rights[0], to, given, to_given, home, answer};
    for (int i = 0; i < 6; i++) tvn_port_close(all[i]);
    tvn_semaphore_close(taken);
}

static int64_t port_next(tvn_port_t *mine, tvn_port_set_t *set, char *message, tvn_delivery_t *delivery) {
    tvn_port_t *from = NULL;
    if (!set) return tvn_port_receive(mine, message, 1024, delivery, PATIENCE_MS);
    int64_t size = tvn_port_set_receive(set, message, 1024, &from, delivery, PATIENCE_MS);
    holds(from == mine);
    return size;
}

static void port_answer(tvn_segment_t *segment, tvn_port_set_t *set) {
    tvn_semaphore_t *taken;
    tvn_port_t *mine, *to_given;
    tvn_delivery_t delivery;
    char message[1024];
    is(tvn_port(segment, "p", NULL, &mine), 0);
    if (set) is(tvn_port_set_add(set, mine), 0);
    is(tvn_semaphore(segment, "taken", 0, &taken), 0);
    is(tvn_semaphore_post(taken), 0);
    EACH {
        int64_t size = port_next(mine, set, message, &delivery);
        same(message, size, k);
        is(tvn_port_send(delivery.reply, message, (size_t)size, PATIENCE_MS), 0);
        tvn_port_close(delivery.reply);
    }
    is(port_next(mine, set, message, &delivery), 4);
    is(delivery.count, 2);
    tvn_port_t *given = delivery.rights[0], *home = delivery.rights[1];
    is(tvn_port_receive(given, message, sizeof message, NULL, PATIENCE_MS), 10);
    is(memcmp(message, "left in it", 10), 0);
    is(tvn_port_send_right(given, &to_given), 0);
    is(tvn_port_send(to_given, "added", 5, PATIENCE_MS), 0);
    const tvn_port_t *back[] = {given};
    is(tvn_port_send_rights(home, NULL, 0, back, 1, PATIENCE_MS), 0);
    if (set) is(tvn_port_set_remove(set, mine), 0);
    tvn_port_t *all[] = {given, home, to_given, mine};
    for (int i = 0; i < 4; i++) tvn_port_close(all[i]);
    tvn_semaphore_close(taken);
}

static void port_serve(tvn_segment_t *segment) { port_answer(segment, NULL); }

static void port_set_serve(tvn_segment_t *segment) {
    tvn_port_set_t *set;
    is(tvn_port_set_new(&set), 0);
    port_answer(segment, set);
    tvn_port_set_close(set);
}

static void make_nothing(tvn_segment_t *segment) { (void)segment; }

static void process_send(tvn_segment_t *segment) {
    tvn_process_t *anna;
    char message[1024];
    is(tvn_process(segment, "anna", NULL, &anna), 0);
    EACH is(tvn_process_send(anna, "bert", message, fill(message, k), PATIENCE_MS), 0);
    is(tvn_process_receive_from(anna, "bert", message, sizeof message, NULL, PATIENCE_MS), 6);
    is(memcmp(message, "thanks", 6), 0);
    tvn_process_close(anna);
}

static void process_receive(tvn_segment_t *segment) {
    tvn_process_t *bert;
    char message[1024], sender[64];
    is(tvn_process(segment, "bert", NULL, &bert), 0);
    EACH {
        same(message, tvn_process_receive(bert, sender, sizeof sender, message, sizeof message, NULL, PATIENCE_MS), k);
        is(strcmp(sender, "anna"), 0);
    }
    is(tvn_process_send(bert, "anna", "thanks", 6, PATIENCE_MS), 0);
    tvn_process_close(bert);
}

static void make_array(tvn_segment_t *segment) {
    tvn_array_t *array;
    size_t shape[] = {2, 3};
    is(tvn_array_create(segment, "a", "Q", shape, 2, &array), 0);
    tvn_array_close(array);
}

/* Both write in turn. */
static void array_play(tvn_segment_t *segment, uint64_t turn) {
    tvn_array_t *array;
    uint64_t seen[6];
    is(tvn_array_open(segment, "a", "Q", &array), 0);
    uint64_t *elements = tvn_array_data(array);
    while (turn < N) {
        is(tvn_array_write(array, PATIENCE_MS), 0);
        if (elements[0] == turn) elements[0] = elements[5] = turn + 1, turn += 2;
        is(tvn_array_end_write(array), 0);
    }
    is(tvn_array_snapshot(array, seen, sizeof seen, PATIENCE_MS), 0);
    holds(seen[0] == seen[5] && seen[0] >= N - 1);
    tvn_array_close(array);
}

static void array_even(tvn_segment_t *segment) { array_play(segment, 0); }
static void array_odd(tvn_segment_t *segment) { array_play(segment, 1); }

static void make_cell(tvn_segment_t *segment) {
    tvn_cell_t *cell;
    is(tvn_cell_create(segment, "c", 2 * sizeof(int64_t), NULL, 4, &cell), 0);
    tvn_cell_close(cell);
}

static void cell_store(tvn_segment_t *segment) {
    tvn_cell_t *cell;
    is(tvn_cell_open(segment, "c", NULL, &cell), 0);
    for (int64_t k = 1; k <= N; k++) is(tvn_cell_store(cell, (int64_t[]){k, -k}, 2 * sizeof k, PATIENCE_MS), k);
    tvn_cell_close(cell);
}

static void cell_load(tvn_segment_t *segment) {
    tvn_cell_t *cell;
    int64_t value[2], seen = 0;
    is(tvn_cell_open(segment, "c", NULL, &cell), 0);
    while (seen < N) {
        int64_t version = tvn_cell_load_newer(cell, (uint64_t)seen, value, sizeof value, PATIENCE_MS);
        holds(version > seen && value[0] == version && value[1] == -version);
        seen = version;
    }
    tvn_cell_close(cell);
}

static const channel_t channels[] = {
    {make_ring, ring_send, ring_receive},
    {make_exact_ring, ring_send, ring_receive},
    {make_packed_ring, ring_send, ring_receive},
    {make_bounded, mailbox_send, mailbox_receive},
    {make_rendezvous, mailbox_send, mailbox_receive},
    {make_unbounded, mailbox_send, mailbox_receive},
    {make_sorted, mailbox_send, mailbox_receive},
    {make_topic, topic_send, topic_receive},
    {make_oldest_topic, topic_send, topic_receive},
    {make_newest_topic, topic_send, topic_receive},
    {make_service, service_call, service_serve},
    {make_port, port_call, port_serve},
    {make_port, port_call, port_set_serve},
    {make_nothing, process_send, process_receive},
    {make_array, array_even, array_odd},
    {make_cell, cell_store, cell_load},
};

/* A descriptor through a socket: sent if `fd` is one, otherwise received. */
static int pass(int link, int fd) {
    char byte = 'x';
    struct iovec bytes = {&byte, 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &bytes, message.msg_iovlen = 1;
    message.msg_control = &control, message.msg_controllen = sizeof control;
    if (fd < 0) {
        is(recvmsg(link, &message, 0), 1);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        return fd;
    }
    control.header.cmsg_level = SOL_SOCKET, control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof fd);
    is(sendmsg(link, &message, 0), 1);
    return fd;
}

static tvn_segment_t *received(int link) {
    tvn_segment_t *segment;
    int fd = pass(link, -1);
    is(tvn_segment_from_fd(fd, &segment), 0);
    close(fd);
    return segment;
}

enum kind { NAMED, SENT, FORKED };

static void every_channel(enum kind kind) {
    for (size_t i = 0; i < 2 * sizeof channels / sizeof *channels; i++) {
        const channel_t *channel = &channels[i / 2];
        bool forward = i % 2; /* the parent sends */
        tvn_segment_t *segment;
        int link[2];
        is(socketpair(AF_UNIX, SOCK_STREAM, 0, link), 0);
        is(kind == NAMED ? tvn_segment_create(fresh, 4 << 20, 0600, &segment) : tvn_segment_anonymous(4 << 20, &segment), 0);
        channel->make(segment);
        pid_t child = fork();
        if (child == 0) {
            tvn_segment_t *mine = segment;
            if (kind != FORKED) tvn_segment_close(segment);
            if (kind == NAMED) is(tvn_segment_open(fresh, &mine), 0);
            if (kind == SENT) mine = received(link[1]);
            (forward ? channel->receive : channel->send)(mine);
            tvn_segment_close(mine);
            _exit(0);
        }
        if (kind == SENT) {
            int fd = tvn_segment_fd(segment);
            holds(fd >= 0);
            close(pass(link[0], fd));
        }
        (forward ? channel->send : channel->receive)(segment);
        is(exit_of(child), 0);
        if (kind == NAMED) is(tvn_segment_unlink(fresh), 0);
        tvn_segment_close(segment);
        close(link[0]);
        close(link[1]);
    }
}

TEST(every_channel_works_in_a_segment_with_a_name) {
    every_channel(NAMED);
}

TEST(every_channel_works_in_a_sealed_segment_that_was_sent_over) {
    every_channel(SENT);
}

TEST(every_channel_works_in_a_segment_that_was_inherited_over_fork) {
    every_channel(FORKED);
}
