/* The front door is in C for the calls that come after a pause: with cold caches a frame of Python costs as
 * much as all the rest of a small call. A kernel goes straight to work here; whatever else there is to
 * decide, gilfree.planner decides. */
#include "front.h"

#include "kernel.h"

#define KEYWORDS(X)                                                                                           \
    X(workers, "None") X(backend, "'auto'") X(executor, "None") X(chunksize, "None") X(strict, "False")       \
        X(timeout, "None") X(cancel, "None") X(progress, "False") X(out, "None") X(initializer, "None")

enum keyword {
#define KEYWORD_INDEX(name, value) KEYWORD_##name,
    KEYWORDS(KEYWORD_INDEX)
#undef KEYWORD_INDEX
    KEYWORD_COUNT
};

static const char *const keywords[] = {
#define KEYWORD_NAME(name, value) #name,
    KEYWORDS(KEYWORD_NAME)
#undef KEYWORD_NAME
};

#define KEYWORD_SIGNATURE(name, value) ", " #name "=" value
const char parallel_map_doc[] =
    "parallel_map($module, fn, /, *iterables" KEYWORDS(KEYWORD_SIGNATURE) ")\n--\n\n"
    "Equal list(map(fn, *iterables)), computed by all workers.\n\n"
    "fn: a kernel (gilfree.kernels.NAME), which runs on worker threads without the GIL, or any function in\n"
    "    Python, which runs where gilfree.explain(fn, *iterables) says.\n"
    "iterables: one for each argument of fn; the shortest ends the call. For a kernel, an array (NumPy,\n"
    "    array.array, memoryview, a tensor, ...) is used in place, whatever its shape, layout and type, as long as\n"
    "    it casts safely to the kernel's; everything else is converted once. For a reduction, an item is an array.\n"
    "workers: threads at work at most, the calling one included, or processes. None: the pool's size (see\n"
    "    set_workers); -1: all CPUs.\n"
    "backend: 'auto', 'native' (kernels only), or for functions in Python 'serial' (in the calling thread),\n"
    "    'threads' or 'processes'.\n"
    "executor: a concurrent.futures executor of yours that is to run a function in Python, instead of backend.\n"
    "chunksize: items a worker claims at once. None: found while running.\n"
    "strict: raise ValueError unless all iterables have one length.\n"
    "timeout: seconds after which the call stops and raises TimeoutError.\n"
    "cancel: a gilfree.Cancel(), whose set() stops the call: concurrent.futures.CancelledError.\n"
    "progress: True for a bar (by tqdm), or a callable that is given (done, total) in the calling thread from\n"
    "    time to time and at the end; total is None while it is not known.\n"
    "out: for a kernel, a writable buffer of the result's type and shape: one of the arguments (in place), or\n"
    "    disjoint from all. It is filled and returned.\n"
    "initializer: with backend='processes', called once in each worker process before its first item.\n\n"
    "Returns a list; for a kernel, what the first buffer among the iterables is (a NumPy array, an\n"
    "array.array, or a memoryview), and a list if there is none.\n\n"
    "The exception of the lowest failing index is raised; items after it may have run, and what out holds is\n"
    "then unspecified. A bad argument is refused before any item runs.";
#undef KEYWORD_SIGNATURE

static int parse_keywords(PyObject *const *values, PyObject *names, PyObject *options[KEYWORD_COUNT])
{
    Py_ssize_t count = names ? PyTuple_Size(names) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        int keyword = 0;
        while (keyword < KEYWORD_COUNT && PyUnicode_CompareWithASCIIString(name, keywords[keyword]) != 0)
            keyword++;
        if (keyword == KEYWORD_COUNT) {
            PyObject *accepted = PyUnicode_FromString(keywords[0]);
            for (int k = 1; accepted && k < KEYWORD_COUNT; k++) {
                PyObject *longer = PyUnicode_FromFormat("%U, %s", accepted, keywords[k]);
                Py_DECREF(accepted);
                accepted = longer;
            }
            if (accepted)
                PyErr_Format(PyExc_TypeError, "parallel_map() got an unexpected keyword argument '%U'; accepted: %U",
                             name, accepted);
            Py_XDECREF(accepted);
            return -1;
        }
        options[keyword] = values[i];
    }
    return 0;
}

static PyObject *ask_planner(PyObject *const *args, Py_ssize_t count, PyObject *options[KEYWORD_COUNT])
{
    PyObject *planner = PyImport_ImportModule("gilfree.planner");
    PyObject *run = planner ? PyObject_GetAttrString(planner, "run") : NULL;
    PyObject *iterables = run ? PyTuple_New(count - 1) : NULL;
    PyObject *result = NULL;
    for (Py_ssize_t i = 1; iterables && i < count; i++)
        if (PyTuple_SetItem(iterables, i - 1, Py_NewRef(args[i])) < 0)
            Py_CLEAR(iterables);
    PyObject *given = iterables ? PyDict_New() : NULL;
    for (int k = 0; given && k < KEYWORD_COUNT; k++)
        if (options[k] && PyDict_SetItemString(given, keywords[k], options[k]) < 0)
            Py_CLEAR(given);
    PyObject *positional = given ? Py_BuildValue("(OO)", args[0], iterables) : NULL;
    if (positional)
        result = PyObject_Call(run, positional, given);
    Py_XDECREF(planner);
    Py_XDECREF(run);
    Py_XDECREF(iterables);
    Py_XDECREF(given);
    Py_XDECREF(positional);
    return result;
}

static bool is_given(PyObject *object)
{
    return object && object != Py_None;
}

/* Is there nothing for the planner to decide, prepare or refuse? */
static bool is_native(struct state *state, PyObject *fn, PyObject *const given[KEYWORD_COUNT])
{
    PyObject *backend = given[KEYWORD_backend], *progress = given[KEYWORD_progress];
    bool is_auto = !backend || (PyUnicode_Check(backend) && PyUnicode_CompareWithASCIIString(backend, "auto") == 0);
    return Py_TYPE(fn) == state->kernel_type && is_auto && !is_given(given[KEYWORD_executor]) &&
           !is_given(given[KEYWORD_initializer]) &&
           (!is_given(progress) || progress == Py_False || PyCallable_Check(progress));
}

PyObject *parallel_map(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    struct state *state = state_of_module(module);
    PyObject *given[KEYWORD_COUNT] = {NULL};
    if (parse_keywords(args + count, names, given) < 0)
        return NULL;
    if (count == 0) {
        PyErr_SetString(PyExc_TypeError, "parallel_map() takes fn and at least one iterable; nothing was given");
        return NULL;
    }
    if (!is_native(state, args[0], given))
        return ask_planner(args, count, given);
    struct options options;
    int strict = given[KEYWORD_strict] ? PyObject_IsTrue(given[KEYWORD_strict]) : 0;
    if (strict < 0 || options_parse(&options, state, given[KEYWORD_workers], given[KEYWORD_chunksize],
                                    given[KEYWORD_timeout], given[KEYWORD_cancel]) < 0)
        return NULL;
    if (is_given(given[KEYWORD_progress]) && given[KEYWORD_progress] != Py_False)
        options.progress = given[KEYWORD_progress];
    return kernel_map(args[0], args + 1, count - 1, strict, given[KEYWORD_out], &options);
}
