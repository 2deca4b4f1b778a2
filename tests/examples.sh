#!/bin/sh
# The classical problems: each story by itself in each language, and mixed, its processes in all three. Says `ran 1`
# for each. Facts are compared, not times. Where things are: TRIVENI_LIB has libtriveni.so, TRIVENI_EXAMPLES the Rust
# examples, TRIVENI_PYTHON imports triveni, TRIVENI the command; all of this checkout unless set.
set -u
cd "$(dirname "$0")/.."
lib=${TRIVENI_LIB:-$PWD/target/release}
rust=${TRIVENI_EXAMPLES:-target/debug/examples}
python=${TRIVENI_PYTHON:-.venv/bin/python}
triveni=${TRIVENI:-target/debug/triveni}
unset PYTHONUNBUFFERED # with it Python writes the end of a line by itself, and another process comes between
stories='producer_consumer print_spooler file_counter readers_writers dining_philosophers signaling patterns capacity mach echo udp_ack family pipeline daemon stopping'
exec 9>"/tmp/triveni-examples-$(id -u).lock" && flock 9 # the stories' names are fixed: one run at a time
work=$(mktemp -d)
trap 'fresh $stories; rm -rf "$work"' EXIT

# fresh STORY…: no segment and no memory of an earlier run.
fresh() {
    for story; do
        "$triveni" rm --force "$story" 2>/dev/null
        rm -f "/dev/shm/$story"
    done
}

fail() {
    echo "FAILED: $*"
    cat "$work"/*.out 2>/dev/null
    exit 1
}

# program LANGUAGE STORY: the command that plays it.
program() {
    case $1 in
    rust) echo "$rust/$2" ;;
    c) echo "$work/$2" ;;
    python) echo "$python examples/$2/$2.py" ;;
    esac
}

# play LANGUAGE STORY ARGUMENT…: one role of a story, or all of it, within a minute; its output goes to $out.
play() {
    command=$(program "$1" "$2")
    shift 2
    timeout 60 $command "$@" >"$out" 2>&1
}

# together ROLE…: plays each role, `LANGUAGE STORY ARGUMENT…`, at the same time; all must end well. $failed: how many
# did not.
together() {
    roles= n=0
    for role; do
        n=$((n + 1)) out=$work/role$n.out
        play $role &
        roles="$roles $!"
    done
    failed=0
    for role in $roles; do
        wait "$role" || failed=$((failed + 1))
    done
    [ "$failed" = 0 ]
}

# mach_holds FILE CLIENTS: all pages printed, each right refused that was given away, everybody told and answered?
mach_holds() {
    grep -qx "printer: $(($2 * 3)) pages printed, and nobody can send any more" "$1" &&
        [ "$(grep -cx 'desk: a right that was given away is refused' "$1")" = "$2" ] &&
        [ "$(grep -c ': 3 pages sent; then dead_name of questions: nobody receives there any more$' "$1")" = "$2" ] &&
        grep -qx "answerer: $2 callers answered, whoever they were" "$1" &&
        [ "$(awk '/ heard: good morning, / && $1 == $5' "$1" | wc -l)" = "$2" ]
}

# echo_holds FILE CLIENTS: everything came back, to as many clients, and the server has seen them go?
echo_holds() {
    [ "$(grep -cx 'client disconnected' "$1")" = "$2" ] || return
    for word in Hello World Echo Test; do
        [ "$(grep -cx "received: $word" "$1")" = "$2" ] && [ "$(grep -cx "echo: $word" "$1")" = "$2" ] || return
    done
}

# udp_ack_holds FILE: each request was carried out once, also those whose ACK was lost?
udp_ack_holds() {
    grep -qx '4 requests carried out' "$1" && [ "$(grep -c 'is carried out$' "$1")" = 4 ] &&
        [ "$(grep -c '^the ACK of request [13] is lost$' "$1")" = 2 ] &&
        [ "$(grep -cE '^request [13]: ACK after more than one try$' "$1")" = 2 ] &&
        [ "$(grep -cE '^(request [24]|end): ACK after ' "$1")" = 3 ]
}

# serving ROLE…: starts a server; $there: where it is, once it has said so. `wait $serving` is for its end.
serving() {
    out=$work/server.out
    : >"$out"
    play "$@" &
    serving=$!
    until there=$(sed -n 's/^[a-z]* at //p' "$out" 2>/dev/null) && [ -n "$there" ]; do
        kill -0 "$serving" 2>/dev/null || return
    done
}

# holds STORY: does $out, the output of a story as a whole, say what it must?
holds() {
    case $1 in
    producer_consumer) grep -qx 'items left in the buffer: 0; sum of those consumed: 1001000' "$out" ;;
    print_spooler) # without the lock some are lost, with it none
        grep -q '^unlocked: 2000 files entered, .* [1-9][0-9]* lost$' "$out" &&
            grep -qx 'locked: 2000 files entered, 2000 in the directory, 0 lost' "$out" ;;
    file_counter) # the same, with each lock
        grep -q '^unlocked: 1000 added, .* [1-9][0-9]* lost$' "$out" &&
            [ "$(grep -cE '^(flock|range|lock_file): 1000 added, 1000 in the file, 0 lost$' "$out")" = 3 ] ;;
    readers_writers) # turns of readers and writers: who is preferred has more of them, and under `fair` both have some
        awk '$1 == "readers_first" && $2 > $8 { n++ } $1 == "writers_first" && $2 < $8 { n++ }
            $1 == "fair" && $2 > 0 && $8 > 0 { n++ } END { exit n != 3 }' "$out" ;;
    dining_philosophers)
        [ "$(grep -c 'DEADLOCK: .*"fork .*"fork .*"fork .*"fork .*"fork ' "$out")" = 1 ] && grep -q ' gives way: ' "$out" &&
            [ "$(grep -c '4 philosophers have eaten 100 times' "$out")" = 1 ] &&
            [ "$(grep -c '5 philosophers have eaten 100 times' "$out")" = 4 ] ;;
    signaling) # who asks all the time works more than who sleeps
        awk '$1 == "busy:" { busy = $10 } $1 == "sleeping:" { sleeping = $10; n++ } END { exit !(n == 1 && busy > sleeping) }' "$out" ;;
    patterns) # where one sends to many, each receives everything
        grep -qx 'one_to_one: 100 messages sent, 100 received' "$out" &&
            grep -qx 'many_to_one: 300 messages sent, 300 received' "$out" &&
            grep -qx 'one_to_many: 100 messages sent, 300 received' "$out" &&
            grep -qx 'many_to_many: 300 messages sent, 300 received' "$out" ;;
    capacity)
        grep -qx 'none: 0 of 10 messages sent before anybody receives' "$out" &&
            grep -qx 'three: 3 of 10 messages sent before anybody receives' "$out" &&
            grep -qx 'unbounded: 10 of 10 messages sent before anybody receives' "$out" &&
            [ "$(grep -c ': 10 of 10 messages received in order$' "$out")" = 3 ] ;;
    mach) mach_holds "$out" 3 ;;
    family)
        grep -qx 'chain: 4 processes, 4 steps below this one' "$out" && grep -qx 'fan: 4 processes, 1 steps below this one' "$out" ;;
    pipeline)
        grep -qx '      3 pipe' "$out" && grep -qx 'the same bytes as from the shell: yes' "$out" &&
            grep -qx 'yes | head -n 1: yes was ended by SIGPIPE, pipefail says 141' "$out" ;;
    daemon)
        grep -qx 'a second one is refused' "$out" && grep -qx 'the daemon has ended, and its pid file is gone' "$out" &&
            grep -q '^its output: the daemon serves' "$out" ;;
    stopping)
        grep -qx 'signalling: XY' "$out" && grep -qx 'locking: B counted 0 while it was locked out' "$out" &&
            grep -qx 'a SIGCONT before the stop: B stands still' "$out" &&
            grep -qx 'a SIGCONT after it: B ends with status 0' "$out" ;;
    echo) echo_holds "$out" 2 ;;
    udp_ack) udp_ack_holds "$out" ;;
    esac
}

"$triveni" --version >/dev/null || fail "there is no $triveni"
ln -s "$lib/libtriveni.so" "$work/libtriveni.so"
ln -s "$lib/libtriveni.so" "$work/libtriveni.so.0"
for story in $stories; do
    "${CC:-cc}" -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude "examples/$story/$story.c" -o "$work/$story" \
        -L"$work" -Wl,-rpath,"$work" -ltriveni || fail "$story.c does not compile"
done

# Each by itself.
for story in $stories; do
    for language in rust c python; do
        fresh "$story"
        out=$work/story.out
        play "$language" "$story" && holds "$story" || fail "$story in $language"
        [ ! -e "/dev/shm/$story" ] && [ ! -e "/dev/shm/triveni.$story" ] || fail "$story in $language leaves something behind"
        echo "$story in $language:"
        cut -c 1-150 "$out"
        echo 'ran 1'
    done
done

# Mixed: three producers, three consumers, in each of the three languages and under both names.
fresh producer_consumer
together 'rust producer_consumer producer 600' 'c producer_consumer producer_pv 600' 'python producer_consumer producer 600' \
    'python producer_consumer consumer_pv 600' 'rust producer_consumer consumer 600' 'c producer_consumer consumer 600' &&
    [ "$($python examples/producer_consumer/producer_consumer.py report)" = \
        'items left in the buffer: 0; sum of those consumed: 540900' ] || fail 'producer_consumer, mixed'
echo 'producer_consumer, mixed'
echo 'ran 1'

# Mixed: every pair of languages enters files.
for pair in 'rust c' 'c python' 'python rust'; do
    x=${pair% *} y=${pair#* }
    for how in unlocked locked; do
        fresh print_spooler
        together "$x print_spooler X $how 1000" "$y print_spooler Y $how 1000" || fail "print_spooler, $pair, $how"
        out=$work/report.out
        play "$x" print_spooler report 2000 || fail "print_spooler report in $x"
        case $how in
        unlocked) grep -q ' [1-9][0-9]* lost$' "$out" ;;
        locked) grep -q ' 0 lost$' "$out" ;;
        esac || fail "print_spooler, $pair, $how"
        echo "print_spooler, $pair, $how: $(cat "$out")"
    done
    echo 'ran 1'
done

# Mixed: two languages count in one file, with each of the locks.
for pair in 'rust c' 'c python' 'python rust'; do
    for how in flock range lock_file; do
        fresh file_counter
        together "${pair% *} file_counter X $how 200" "${pair#* } file_counter Y $how 200" || fail "file_counter, $pair, $how"
        out=$work/report.out
        play "${pair#* }" file_counter report 400 && grep -qx '400 added, 400 in the file, 0 lost' "$out" ||
            fail "file_counter, $pair, $how"
    done
    echo "file_counter, $pair"
    echo 'ran 1'
done

# Mixed: five under the fair policy, and a table of what all of them had.
fresh readers_writers
together 'rust readers_writers reader fair 1' 'c readers_writers reader fair 1' 'python readers_writers reader fair 1' \
    'c readers_writers writer fair 1' 'python readers_writers writer fair 1' 'rust readers_writers table fair' &&
    awk '$1 == "fair" && $2 > 0 && $8 > 0 { n++ } END { exit n != 1 }' "$work/role6.out" || fail 'readers_writers, mixed'
echo "readers_writers, mixed: $(cat "$work/role6.out")"
echo 'ran 1'

# Mixed: philosophers in three languages at one table.
table() {
    together "rust dining_philosophers philosopher $1 0 100" "c dining_philosophers philosopher $1 1 100" \
        "python dining_philosophers philosopher $1 2 100" "rust dining_philosophers philosopher $1 3 100" \
        "c dining_philosophers philosopher $1 4 100"
}
for form in detected ordered room monitor; do
    fresh dining_philosophers
    table "$form" || fail "dining_philosophers, mixed, $form"
    [ "$form" != detected ] || grep -q ' gives way: ' "$work"/role?.out || fail 'nobody was told of a deadlock'
    echo "dining_philosophers, mixed, $form"
    echo 'ran 1'
done

# The one that deadlocks stands there until somebody looks and kills one of the five.
fresh dining_philosophers
{ table left_first; echo "$failed failed" >"$work/failed"; } &
diners=$!
until "$triveni" ls dining_philosophers >"$work/ls.out" 2>/dev/null && grep -q 'DEADLOCK: 5 threads' "$work/ls.out"; do
    kill -0 "$diners" 2>/dev/null || fail 'dining_philosophers, mixed: no deadlock'
done
cat "$work/ls.out"
victim=$(awk '/waits to lock "fork 3", held by/ { print $2; exit }' "$work/ls.out")
kill -9 "$victim"
wait "$diners"
[ "$(cat "$work/failed")" = '1 failed' ] || fail 'dining_philosophers, mixed: the others did not go on'
echo 'dining_philosophers, mixed, left_first'
echo 'ran 1'

# Mixed: each language waits for a signal of the next one.
for pair in 'rust c' 'c python' 'python rust'; do
    for how in busy sleeping; do
        fresh signaling
        together "${pair% *} signaling wait $how" "${pair#* } signaling signal" || fail "signaling, $pair, $how"
    done
    echo "signaling, $pair"
    echo 'ran 1'
done

# Mixed: senders and receivers in all three languages, in each pattern.
for pattern in one_to_one many_to_one one_to_many many_to_many; do
    fresh patterns
    case $pattern in
    one_to_one) set -- 'c patterns sender' 'python patterns receiver' ;;
    many_to_one) set -- 'rust patterns sender' 'c patterns sender' 'python patterns sender' 'rust patterns receiver' ;;
    one_to_many) set -- 'python patterns sender' 'rust patterns receiver' 'c patterns receiver' 'python patterns receiver' ;;
    many_to_many) set -- 'rust patterns sender' 'c patterns sender' 'python patterns sender' \
        'rust patterns receiver' 'c patterns receiver' 'python patterns receiver' ;;
    esac
    numbered=$(for role; do echo "$role"; done | awk -v pattern="$pattern" '{ print $0, pattern, n[$3]++ }')
    old_ifs=$IFS IFS='
'
    set -- $numbered
    IFS=$old_ifs
    together "$@" || fail "patterns, mixed, $pattern"
    case $pattern in one_to_one) wanted=100 ;; *) wanted=300 ;; esac
    cat "$work"/role?.out | awk -v wanted=$wanted '/received/ { n += $5 } END { exit n != wanted }' ||
        fail "patterns, mixed, $pattern: not $wanted messages received"
    rm -f "$work"/role?.out
    echo "patterns, mixed, $pattern"
    echo 'ran 1'
done

# Mixed: each language sends to the next one, at each capacity.
for pair in 'rust c' 'c python' 'python rust'; do
    for capacity in none three unbounded; do
        fresh capacity
        together "${pair% *} capacity sender $capacity" "${pair#* } capacity receiver $capacity" ||
            fail "capacity, $pair, $capacity"
    done
    echo "capacity, $pair"
    echo 'ran 1'
done

# Mixed: each of the roles in each language, beside clients and callers in all three.
for languages in 'rust c python' 'c python rust' 'python rust c'; do
    set -- $languages
    fresh mach
    together "$1 mach printer 3" "$2 mach desk 3" "$3 mach answerer 3" "$1 mach client ada 3" "$2 mach client bob 3" \
        "$3 mach client eve 3" "$1 mach caller tom" "$2 mach caller kim" "$3 mach caller joe" || fail "mach, mixed, $languages"
    cat "$work"/role?.out >"$work/mach.out"
    mach_holds "$work/mach.out" 3 || fail "mach, mixed, $languages"
    rm -f "$work"/role?.out
    echo "mach, mixed: printer, desk and answerer in $languages"
    echo 'ran 1'
done
# Mixed: each language serves the others, over each kind of address.
for pair in 'rust c' 'c python' 'python rust'; do
    x=${pair% *} y=${pair#* }
    for address in tcp:127.0.0.1:0 unix:@triveni-echo unix:/tmp/triveni-echo.sock; do
        serving "$x" echo server "$address" 2 && together "$y echo client $there" "$x echo client $there" && wait "$serving" ||
            fail "echo, $pair, $address"
        cat "$work/server.out" "$work"/role?.out >"$work/echo.out"
        echo_holds "$work/echo.out" 2 || fail "echo, $pair, $address"
    done
    [ ! -e /tmp/triveni-echo.sock ] || fail "echo, $pair: the socket file stays"
    for address in udp:127.0.0.1:0 unix:@triveni-udp-ack; do
        serving "$x" udp_ack server "$address" && together "$y udp_ack client $there" && wait "$serving" ||
            fail "udp_ack, $pair, $address"
        cat "$work/server.out" "$work/role1.out" >"$work/udp_ack.out"
        udp_ack_holds "$work/udp_ack.out" || fail "udp_ack, $pair, $address"
    done
    rm -f "$work"/role?.out
    echo "echo and udp_ack, $pair"
    echo 'ran 1'
done
fresh patterns capacity mach
