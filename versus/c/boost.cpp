/* Boost.Interprocess message_queue: any number of processes on both sides. */
#include "rival.h"
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/version.hpp>
#include <string>

namespace ipc = boost::interprocess;

namespace {

std::string why;

struct Channel {
    std::string name;
    bool blocking;
    ipc::message_queue queue;
    explicit Channel(const versus_spec &spec)
        : name(spec.name), blocking(spec.blocking), queue(ipc::create_only, spec.name, spec.depth, spec.size) {}
    ~Channel() { ipc::message_queue::remove(name.c_str()); }
};

template <class Body> auto attempt(Body body, decltype(body()) failed) -> decltype(body())
{
    try {
        return body();
    } catch (const std::exception &e) {
        why = e.what();
        return failed;
    }
}

} // namespace

const char *versus_version() { return BOOST_LIB_VERSION; }
const char *versus_why() { return why.c_str(); }

void *versus_make(const versus_spec *spec)
{
    return attempt([&]() -> void * { return new Channel(*spec); }, nullptr);
}

void versus_unmake(void *channel) { delete static_cast<Channel *>(channel); }

// The mapping is inherited: both ends are the queue itself.
void *versus_tx(void *channel, int) { return channel; }
void *versus_rx(void *channel, int) { return channel; }
void versus_end(void *) {}

int versus_send(void *tx, const void *message, size_t size)
{
    Channel *channel = static_cast<Channel *>(tx);
    return attempt([&]() -> int {
        if (!channel->blocking) return channel->queue.try_send(message, size, 0);
        channel->queue.send(message, size, 0);
        return 1;
    }, -1);
}

int versus_receive(void *rx, void *message, size_t size)
{
    Channel *channel = static_cast<Channel *>(rx);
    return attempt([&]() -> int {
        ipc::message_queue::size_type got = 0;
        unsigned priority;
        if (channel->blocking)
            channel->queue.receive(message, size, got, priority);
        else if (!channel->queue.try_receive(message, size, got, priority))
            return 0;
        if (got == size) return 1;
        why = "a message of another size";
        return -1;
    }, -1);
}
