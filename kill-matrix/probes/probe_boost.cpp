// Boost.Interprocess. Its mutexes are robust pthread mutexes where the platform has them (since 1.80 or so).
#include "speak.h"
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/interprocess_upgradable_mutex.hpp>
#include <boost/interprocess/sync/named_mutex.hpp>
#include <boost/version.hpp>

namespace ipc = boost::interprocess;

struct Shared {
    ipc::interprocess_mutex mutex;
    ipc::interprocess_semaphore semaphore{1};
    ipc::interprocess_condition condition;
    unsigned count = 0;  // what the condition is about
    ipc::interprocess_sharable_mutex sharable;
    ipc::interprocess_upgradable_mutex upgradable;
};

static Shared *s;
static ipc::named_mutex *named;
static ipc::message_queue *queue;

// A command in C: what it throws is what it answers.
template <class Body> static int calling(Body body)
{
    try {
        body();
        return OK;
    } catch (const ipc::interprocess_exception &e) {
        snprintf(detail, sizeof detail, "interprocess_exception %d: %s", e.get_error_code(), e.what());
    } catch (const std::exception &e) {
        snprintf(detail, sizeof detail, "%s", e.what());
    }
    return FAIL;
}

static int cond_wait()
{
    return calling([] {
        ipc::scoped_lock<ipc::interprocess_mutex> lock(s->mutex);
        while (s->count == 0) s->condition.wait(lock);
        s->count--;
    });
}
static int cond_signal()
{
    return calling([] {
        ipc::scoped_lock<ipc::interprocess_mutex> lock(s->mutex);
        s->count++;
        s->condition.notify_one();
    });
}
static int send_one(int mark)
{
    return calling([mark] {
        unsigned char message[SIZE];
        fill(message, mark);
        queue->send(message, SIZE, 0);
    });
}
static int receive_one()
{
    unsigned char message[SIZE];
    ipc::message_queue::size_type size = 0;
    unsigned priority;
    int result = calling([&] { queue->receive(message, SIZE, size, priority); });
    return result == OK ? check(message, size) : result;
}

// Boost has two ways to unlock; the stories have one.
static bool writes;
template <class Lock> static int read(Lock &lock) { return writes = false, calling([&] { lock.lock_sharable(); }); }
template <class Lock> static int write(Lock &lock) { int result = calling([&] { lock.lock(); }); return writes = true, result; }
template <class Lock> static int unlock(Lock &lock) { return calling([&] { writes ? lock.unlock() : lock.unlock_sharable(); }); }

#define CALL(body) [] { return calling([] { body; }); }
static const struct command commands[] = {
    {"mutex", "lock", CALL(s->mutex.lock())}, {"mutex", "unlock", CALL(s->mutex.unlock())},
    {"named", "lock", CALL(named->lock())}, {"named", "unlock", CALL(named->unlock())},
    {"semaphore", "wait", CALL(s->semaphore.wait())}, {"semaphore", "post", CALL(s->semaphore.post())},
    {"condition", "lock", CALL(s->mutex.lock())}, {"condition", "unlock", CALL(s->mutex.unlock())},
    {"condition", "wait", cond_wait}, {"condition", "signal", cond_signal},
    {"sharable", "read", [] { return read(s->sharable); }}, {"sharable", "write", [] { return write(s->sharable); }},
    {"sharable", "unlock", [] { return unlock(s->sharable); }},
    {"upgradable", "read", [] { return read(s->upgradable); }}, {"upgradable", "write", [] { return write(s->upgradable); }},
    {"upgradable", "unlock", [] { return unlock(s->upgradable); }},
    {"queue", "send", [] { return send_one(0); }}, {"queue", "mark", [] { return send_one(1); }},
    {"queue", "receive", receive_one},
    {nullptr, nullptr, nullptr},
};

int main(int argc, char **argv)
{
    if (argc == 2) return printf("Boost.Interprocess %s%s\n", BOOST_LIB_VERSION,
#ifdef BOOST_INTERPROCESS_POSIX_ROBUST_MUTEXES
        ", robust mutexes"
#else
        ", mutexes not robust"
#endif
    ) < 0;
    const char *object = argv[1], *name = argv[2];
    bool creates = !strcmp(argv[3], "create");
    std::string part = std::string(name) + ".part";
    ipc::managed_shared_memory memory(ipc::open_or_create, name, 65536);
    s = memory.find_or_construct<Shared>("shared")();
    if (!strcmp(object, "named")) named = new ipc::named_mutex(ipc::open_or_create, part.c_str());
    if (!strcmp(object, "queue")) queue = new ipc::message_queue(ipc::open_or_create, part.c_str(), 4, SIZE);
    serve(commands, object, name);
    if (creates) {
        ipc::shared_memory_object::remove(name);
        if (named) ipc::named_mutex::remove(part.c_str());
        if (queue) ipc::message_queue::remove(part.c_str());
    }
}
