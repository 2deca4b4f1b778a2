/*
 * The temperature monitoring system: many sensors send readings to one mailbox, one monitor prints them.
 *
 *     temperature monitor SEGMENT
 *     temperature sensor SEGMENT ID [SOURCE.csv]
 *
 * Sensor and monitor may be Rust, C or Python: temperature.rs and temperature.py tell the same story.
 *
 * A sensor says on stdout what it does, so that others can count: `source`, then for each reading `claim` and
 * `sent`. TRIVENI_PERIOD_MS is the pause between readings, TRIVENI_THRESHOLD the monitor's alert; with
 * TRIVENI_REPORT=1 the monitor prints `received` lines too, and with TRIVENI_HOLD_AT=n a sensor keeps its n-th
 * claim for ever, so that it can be killed there.
 */
#define _GNU_SOURCE
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <triveni.h>
#include <unistd.h>

struct reading { /* the same 16 bytes in all three languages */
    int32_t sensor_id;
    float temperature;
    double time; /* seconds since 1970 */
};
_Static_assert(sizeof(struct reading) == 16, "no padding");

static tvn_mailbox_t *mailbox;
static sigset_t stop_signals; /* SIGTERM and SIGINT: blocked, and asked for where it suits */

static bool asked_to_stop(long within_ms) {
    struct timespec patience = {within_ms / 1000, within_ms % 1000 * 1000000};
    return sigtimedwait(&stop_signals, NULL, &patience) > 0;
}

static double setting(const char *name, double otherwise) {
    const char *value = getenv(name);
    return value ? atof(value) : otherwise;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "temperature: %s: %s\n", what, why);
    exit(1);
}

/* Where a sensor's numbers come from: a hardware sensor, in thousandths of a degree; ... */
static char hardware[256];

static bool thousandths(const char *path, float *value) {
    FILE *file = fopen(path, "r");
    bool ok = file && fscanf(file, "%f", value) == 1;
    if (file) fclose(file);
    *value /= 1000;
    return ok;
}

static float from_hardware(void) {
    float value = 0;
    if (!thousandths(hardware, &value)) fail(hardware, "gives no number");
    return value;
}

/* ... the busy share of one CPU since the last reading, in percent, where there is no such sensor; ... */
static long cpu;

static float from_load(void) {
    static unsigned long long busy_before, total_before;
    unsigned long long n[8] = {0}, total = 0;
    char line[512], name[32];
    FILE *stat = fopen("/proc/stat", "r");
    int length = snprintf(name, sizeof name, "cpu%ld ", cpu);
    while (stat && fgets(line, sizeof line, stat))
        if (strncmp(line, name, (size_t)length) == 0)
            sscanf(line + length, "%llu %llu %llu %llu %llu %llu %llu %llu", n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7);
    if (stat) fclose(stat);
    for (int i = 0; i < 8; i++) total += n[i];
    unsigned long long busy = total - n[3] - n[4]; /* all but idle and waiting for a disk */
    float share = total > total_before ? 100.0f * (float)(busy - busy_before) / (float)(total - total_before) : 0;
    busy_before = busy, total_before = total;
    return share;
}

/* ... or the second column of a file, again and again; lines without a number there are skipped. */
static FILE *csv;

static float from_csv(void) {
    char line[512];
    for (int passes = 0; passes < 2; rewind(csv), passes++)
        while (fgets(line, sizeof line, csv)) {
            char *column = strchr(line, ','), *end = NULL;
            float value = column ? strtof(column + 1, &end) : 0;
            if (column && end != column + 1) return value;
        }
    fail("source", "no line has a number in its second column");
    return 0;
}

static float (*choose_source(int id, const char *path))(void) {
    if (path) {
        if (!(csv = fopen(path, "r"))) fail(path, "cannot be read");
        return printf("source %d file %s\n", id, path), from_csv;
    }
    glob_t found;
    float value;
    glob("/sys/class/hwmon/hwmon*/temp*_input", 0, NULL, &found);
    glob("/sys/class/thermal/thermal_zone*/temp", GLOB_APPEND, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) /* sensors take them by turns, beginning at their own number */
        if (thousandths(found.gl_pathv[((size_t)id + i) % found.gl_pathc], &value)) {
            snprintf(hardware, sizeof hardware, "%s", found.gl_pathv[((size_t)id + i) % found.gl_pathc]);
            return printf("source %d hardware sensor %s, °C\n", id, hardware), from_hardware;
        }
    cpu = id % sysconf(_SC_NPROCESSORS_ONLN);
    printf("source %d load of CPU %ld from /proc/stat, percent (no hardware sensor here)\n", id, cpu);
    return from_load;
}

static int sensor(int id, const char *path) {
    long period = (long)setting("TRIVENI_PERIOD_MS", 5000), hold_at = (long)setting("TRIVENI_HOLD_AT", 0);
    float (*temperature)(void) = choose_source(id, path);
    for (long n = 1; n == 1 || !asked_to_stop(period); n++) {
        float degrees = temperature();
        tvn_loan_t loan;
        int error;
        while ((error = tvn_mailbox_reserve(mailbox, sizeof(struct reading), 200, &loan)) == -ETIMEDOUT)
            if (asked_to_stop(0)) return 0; /* it is full, and nobody receives */
        if (error) return tvn_perror("temperature"), 1;

        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        double time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
        printf("claim %d %.9f\n", id, time);
        if (n == hold_at) {
            printf("holding %d %.9f\n", id, time);
            for (;;) pause();
        }
        struct reading *reading = loan.room; /* in place: nothing is copied on the way */
        *reading = (struct reading){id, degrees, time};
        if (tvn_mailbox_commit(mailbox, &loan, sizeof *reading) < 0) return tvn_perror("temperature"), 1;
        printf("sent %d %.9f\n", id, time);
    }
    return 0;
}

static int monitor(void) {
    double threshold = setting("TRIVENI_THRESHOLD", 40);
    bool report = setting("TRIVENI_REPORT", 0) == 1;
    int patience = 200; /* ms; asked to stop, take what is left and wait no more */
    for (;;) {
        struct reading reading;
        uint32_t redelivered;
        int64_t size = tvn_mailbox_receive_counted(mailbox, &reading, sizeof reading, patience, &redelivered);
        if (size == -EAGAIN) return 0;
        if (size == -ETIMEDOUT) {
            if (asked_to_stop(0)) patience = TVN_TRY;
            continue;
        }
        if (size != sizeof reading) return size < 0 ? tvn_perror("temperature") : (void)0, 1;

        char at[16] = "";
        time_t seconds = (time_t)reading.time;
        strftime(at, sizeof at, "%H:%M:%S", localtime(&seconds));
        printf("Sensor %d: %.2f°C at %s\n", reading.sensor_id, reading.temperature, at);
        if (reading.temperature > threshold) printf("ALERT: sensor %d is above %.2f\n", reading.sensor_id, threshold);
        if (report) printf("received %d %.9f %u\n", reading.sensor_id, reading.time, redelivered);
    }
}

int main(int argc, char **argv) {
    bool senses = argc >= 4 && argc <= 5 && !strcmp(argv[1], "sensor") && atoi(argv[3]) >= 0;
    bool monitors = argc == 3 && !strcmp(argv[1], "monitor");
    if (!senses && !monitors)
        return fprintf(stderr, "usage: temperature sensor SEGMENT ID [SOURCE.csv] | temperature monitor SEGMENT\n"), 2;

    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    sigprocmask(SIG_BLOCK, &stop_signals, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0); /* others read along */

    tvn_segment_t *segment;
    if (tvn_segment_open_or_create(argv[2], TVN_DEFAULT_SIZE, 0600, &segment) < 0 ||
        tvn_mailbox(segment, "TEMP_MONITOR", 100, sizeof(struct reading), &mailbox) < 0)
        return tvn_perror("temperature"), 1;
    int status = senses ? sensor(atoi(argv[3]), argv[4]) : monitor();
    tvn_mailbox_close(mailbox);
    tvn_segment_close(segment);
    return status;
}
