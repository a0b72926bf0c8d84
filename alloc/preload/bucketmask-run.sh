#!/bin/sh
# Runs a program on Bucketmask's malloc. bucketmask-run(1) tells more.
usage="usage: bucketmask-run PROGRAM [ARGUMENT...]"
case ${1-} in
'')
    echo "$usage" >&2
    exit 2
    ;;
-h | --help)
    echo "$usage"
    exit
    ;;
esac

# The installed library, or, where all of it was installed below another root, the one that lies as it does there.
library=@LIBRARY@
if [ ! -e "$library" ]; then
    here=$(cd "$(dirname "$0")" && pwd)
    library=$here/../lib/bucketmask/libbucketmask_preload.so
fi
if [ ! -e "$library" ]; then
    echo "bucketmask-run: there is no $library" >&2
    exit 127
fi
LD_PRELOAD=$library${LD_PRELOAD:+:$LD_PRELOAD} exec "$@"
