/* Notes what a power cut would leave of the files below a directory.
 *
 * Loaded into a process by LD_PRELOAD; no part of Weir. It does for real what it
 * is asked for, but for a sync: that keeps a copy. What is in the copies is what is
 * durable, and nothing else is, whatever the page cache holds.
 *
 *   $POWER_SHADOW/files/KEY   a file's content as of its last fsync or fdatasync
 *   $POWER_SHADOW/names/KEY   a directory's names as of its last fsync, each with
 *                             the key of what it names: "KEY f NAME" or "KEY d NAME"
 *
 * KEY is the inode's number and the time at which it was made, for numbers are
 * given again. After a cut the boot's number is another: it is read from $POWER_BOOT.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BOOT "/proc/sys/kernel/random/boot_id"

static const char *root, *shadow, *boot;

__attribute__((constructor)) static void begin(void) {
    root = getenv("POWER_ROOT");
    shadow = getenv("POWER_SHADOW");
    boot = getenv("POWER_BOOT");
}

static int is_below_root(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    size_t of_root = strlen(root);
    return strncmp(path, root, of_root) == 0 && (path[of_root] == '/' || path[of_root] == 0);
}

/* The key of what an open directory names; of the file itself without a name. */
static int key_of(int fd, const char *name, char *key, size_t size, unsigned *mode) {
    struct statx about;
    int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
    if (statx(fd, name, flags, STATX_TYPE | STATX_INO | STATX_BTIME, &about) != 0) return -1;
    snprintf(key, size, "%llu-%lld-%u", (unsigned long long)about.stx_ino,
             (long long)about.stx_btime.tv_sec, about.stx_btime.tv_nsec);
    *mode = about.stx_mode;
    return 0;
}

static int copy(int from, int to) {
    char block[1 << 16];
    ssize_t length;
    off_t at = 0;
    while ((length = pread(from, block, sizeof block, at)) > 0) {
        if (write(to, block, length) != length) return -1;
        at += length;
    }
    return length < 0 ? -1 : 0;
}

static int list(int from, int to) {
    int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *open = again < 0 ? NULL : fdopendir(again);
    if (!open) return -1;
    struct dirent *entry;
    while ((entry = readdir(open))) {
        char key[96];
        unsigned mode;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        /* Gone since it was read: not there, then. */
        if (key_of(again, entry->d_name, key, sizeof key, &mode) != 0) continue;
        if (!S_ISREG(mode) && !S_ISDIR(mode)) continue;
        dprintf(to, "%s %c %s\n", key, S_ISDIR(mode) ? 'd' : 'f', entry->d_name);
    }
    closedir(open);
    return 0;
}

/* What the descriptor is of is durable from now on. */
static int keep(int fd) {
    char key[96], link[64], draft[PATH_MAX], place[PATH_MAX], door[PATH_MAX];
    unsigned mode;
    if (!root || !shadow || !is_below_root(fd)) return 0;
    if (key_of(fd, "", key, sizeof key, &mode) != 0) return -1;
    int is_directory = S_ISDIR(mode);
    snprintf(door, sizeof door, "%s/door", shadow);
    snprintf(draft, sizeof draft, "%s/draft", shadow);
    snprintf(place, sizeof place, "%s/%s/%s", shadow, is_directory ? "names" : "files", key);
    /* One at a time, over all processes: an older copy must not come last. */
    int held = open(door, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (held < 0 || flock(held, LOCK_EX) != 0) return -1;
    /* It may be open for writing alone. */
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int from = open(link, O_RDONLY | O_CLOEXEC);
    int to = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int failed = from < 0 || to < 0 || (is_directory ? list(from, to) : copy(from, to)) != 0;
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    failed = failed || rename(draft, place) != 0;
    close(held);
    if (failed) errno = EIO;
    return failed ? -1 : 0;
}

int fsync(int fd) { return keep(fd); }

int fdatasync(int fd) { return keep(fd); }

static int open_at(const char *path, int flags, va_list more) {
    int creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    mode_t mode = creates ? va_arg(more, mode_t) : 0;
    if (boot && !strcmp(path, BOOT)) path = boot;
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int opened = open_at(path, flags, more);
    va_end(more);
    return opened;
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int opened = open_at(path, flags, more);
    va_end(more);
    return opened;
}
