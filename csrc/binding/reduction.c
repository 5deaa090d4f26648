#include "reduction.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "errors.h"
#include "memory.h"
#include "reduce.h"
#include "result.h"

/* On the heap, with all that helpers look at: see loop.h. */
struct reduction_run {
    struct reductions all;
    struct reduce_argument each_argument[GILFREE_ARGUMENTS_MAX];
    char *loaded[GILFREE_ARGUMENTS_MAX];        /* numbers that an array held in another way */
    gilfree_number number[GILFREE_RESULTS_MAX]; /* of a single reduction */
};

/* ---- items --------------------------------------------------------------------------------------- */

static const struct items *items_of(const struct arguments *arguments, int which, Py_ssize_t index)
{
    const struct argument *argument = &arguments->each[which];
    return argument->source == SOURCE_ARRAY ? &argument->items : &argument->each_array[index < 0 ? 0 : index].items;
}

static bool is_float(enum item_format format)
{
    return format == ITEM_FLOAT16 || format == ITEM_FLOAT32 || format == ITEM_FLOAT64;
}

/* The first row that takes item `index`, or -1. */
static int find_variant(const struct arguments *arguments, Py_ssize_t index)
{
    const struct variants *variants = arguments->variants;
    bool all_whole = true, takes_whole = false;
    for (int a = 0; a < arguments->count; a++)
        if (arguments->each[a].parameter->is_array)
            all_whole = all_whole && !is_float(items_of(arguments, a, index)->format);
    for (int v = 0; v < variants->count; v++)
        takes_whole = takes_whole || !is_float(variants->signatures[v].formats[0]);
    for (int v = 0; v < variants->count; v++) {
        const struct signature *signature = &variants->signatures[v];
        bool fits = !(all_whole && takes_whole && is_float(signature->formats[0]));
        for (int a = 0; a < arguments->count && fits; a++)
            fits = !signature->arguments[a].is_array || item_casts(items_of(arguments, a, index)->format, signature->formats[a]);
        if (fits)
            return v;
    }
    return -1;
}

int reduction_check_item(const struct arguments *arguments, Py_ssize_t index)
{
    int first = -1;
    for (int a = 0; a < arguments->count; a++) {
        if (!arguments->each[a].parameter->is_array)
            continue;
        first = first < 0 ? a : first;
        Py_ssize_t n = (Py_ssize_t)items_of(arguments, a, index)->n, wanted = (Py_ssize_t)items_of(arguments, first, index)->n;
        if (n == wanted)
            continue;
        PyObject *place = argument_place(arguments, a, index);
        if (place)
            PyErr_Format(PyExc_ValueError, "%U holds %zd items and that of argument %d holds %zd; accepted: arrays of one length",
                         place, n, first + 1, wanted);
        Py_XDECREF(place);
        return -1;
    }
    if (find_variant(arguments, index) >= 0)
        return 0;
    PyObject *place = index < 0 ? PyUnicode_FromString("") : PyUnicode_FromFormat("item %zd: ", index);
    if (place)
        PyErr_Format(PyExc_TypeError, "%s: %Uno type of the kernel holds the integers of all its arrays; accepted: arrays of one "
                     "type, or casts by the caller", arguments->row->name, place);
    Py_XDECREF(place);
    return -1;
}

/* ---- running ------------------------------------------------------------------------------------- */

static void set_reduction(const struct arguments *arguments, Py_ssize_t index, struct reduction *reduction)
{
    int variant = find_variant(arguments, index);
    int first = 0;
    while (!arguments->each[first].parameter->is_array)
        first++;
    *reduction = (struct reduction){
        .row = &arguments->variants->rows[variant],
        .types = arguments->variants->signatures[variant].formats,
        .n = items_of(arguments, first, index)->n,
    };
}

static void run_free(struct reduction_run *run)
{
    for (int a = 0; a < run->all.arguments; a++)
        free(run->loaded[a]);
    if (run->all.results != run->number)
        free(run->all.results);
    free(run->all.each);
    free(run);
}

/* The values of an argument that is no array, in a view. False if there is no memory. */
static bool view_numbers(struct reduction_run *run, int a, const struct argument *argument, Py_ssize_t n)
{
    enum item_format type = argument->parameter->type->format;
    run->each_argument[a].numbers = argument->view;
    if (!argument->is_loaded)
        return true;
    run->loaded[a] = memory_array(NULL, n, (size_t)item_size(type));
    if (run->loaded[a])
        items_load(&argument->items, 0, n, type, run->loaded[a]);
    run->each_argument[a].numbers = (gilfree_view){run->loaded[a], item_size(type)};
    return run->loaded[a];
}

/* NULL if there is no memory. */
static struct reduction_run *run_new(const struct arguments *arguments)
{
    Py_ssize_t n = arguments->n;
    struct reduction_run *run = memory_resize(NULL, sizeof *run);
    if (!run)
        return NULL;
    memset(run->loaded, 0, sizeof run->loaded);
    run->all = (struct reductions){
        .count = n,
        .arguments = arguments->count,
        .each_argument = run->each_argument,
        .results = run->number,
    };
    bool are_alike = true, has_memory = true;
    for (int a = 0; a < arguments->count; a++) {
        const struct argument *argument = &arguments->each[a];
        bool is_row = argument->source == SOURCE_ARRAY, is_array = argument->parameter->is_array;
        are_alike = are_alike && (!is_array || is_row || n == 1);
        run->each_argument[a] = (struct reduce_argument){
            .is_number = !is_array,
            .each = is_row || !is_array || n == 0 ? NULL : (const char *)&argument->each_array[0].items,
            .each_size = sizeof *argument->each_array,
            .first = argument->items,
            .apart = is_row && is_array ? argument->array.strides[0] : 0,
        };
        has_memory = has_memory && (is_array || view_numbers(run, a, argument, n));
    }
    run->all.each = are_alike ? NULL : memory_array(NULL, n, sizeof *run->all.each);
    if (n > 1)
        run->all.results = memory_array(NULL, n, sizeof run->number);
    if (!has_memory || (!are_alike && !run->all.each) || !run->all.results) {
        run_free(run);
        return NULL;
    }
    if (are_alike && n > 0)
        set_reduction(arguments, 0, &run->all.common);
    for (Py_ssize_t i = 0; !are_alike && i < n; i++)
        set_reduction(arguments, i, &run->all.each[i]);
    return run;
}

static struct loop_result run_all(void *context, const struct loop_options *options)
{
    return reduce_run(&((struct reduction_run *)context)->all, options);
}

static int raise_error(const struct arguments *arguments, struct loop_result result)
{
    const char *name = arguments->row->name, *message = error_message(result.error);
    error_raise(result.error, result.index >= 0 && arguments->n != 1
                                  ? PyUnicode_FromFormat("%s: item %lld: %s", name, (long long)result.index, message)
                                  : PyUnicode_FromFormat("%s: %s", name, message));
    return -1;
}

static int run_reductions(struct state *state, const struct arguments *arguments, struct reduction_run *run,
                          const struct options *options, _Atomic float *cost)
{
    bool raised = false;
    struct loop_result result = {GILFREE_OK, -1, 0};
    struct call_progress progress = {options->progress, arguments->n, reduce_steps(&run->all)};
    if (reduce_is_short(&run->all)) {
        result.error = options_check(options);
        result.error = result.error ? result.error : reduce_at_once(&run->all);
    } else {
        struct loop_options running = call_loop_options(options);
        running.cost = cost;
        result = call_loop(state, run_all, run, &running, &progress, &raised);
    }
    if (raised || result.error)
        return raised ? -1 : raise_error(arguments, result);
    return call_report_end(&progress);
}

/* ---- results ------------------------------------------------------------------------------------- */

static PyObject *result_to_python(const struct signature *signature, const gilfree_number *results)
{
    if (signature->results == 1)
        return signature->result->to_python(results);
    PyObject *tuple = PyTuple_New(signature->results);
    for (int i = 0; tuple && i < signature->results; i++) {
        PyObject *number = signature->result->to_python(&results[i]);
        if (!number || PyTuple_SetItem(tuple, i, number) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

static const struct signature *signature_at(const struct arguments *arguments, const struct reduction_run *run, Py_ssize_t i)
{
    const struct reduction *reduction = run->all.each ? &run->all.each[i] : &run->all.common;
    return &arguments->variants->signatures[reduction->row - arguments->variants->rows];
}

PyObject *reduction_call(struct state *state, const struct arguments *arguments, const struct options *options,
                         _Atomic float *cost)
{
    PyObject *result = NULL;
    if (reduction_check_item(arguments, -1) < 0)
        return NULL;
    struct reduction_run *run = run_new(arguments);
    if (!run)
        return PyErr_NoMemory();
    if (run_reductions(state, arguments, run, options, cost) == 0)
        result = result_to_python(signature_at(arguments, run, 0), run->all.results);
    run_free(run);
    return result;
}

static PyObject *results_as_list(const struct arguments *arguments, const struct reduction_run *run)
{
    PyObject *list = PyList_New(arguments->n);
    for (Py_ssize_t i = 0; list && i < arguments->n; i++) {
        PyObject *item = result_to_python(signature_at(arguments, run, i), run->all.results + i * GILFREE_RESULTS_MAX);
        if (!item || PyList_SetItem(list, i, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* Are all arrays sub-arrays of larger ones, so that their type is known even without any item? */
static bool all_are_rows(const struct arguments *arguments)
{
    for (int a = 0; a < arguments->count; a++)
        if (arguments->each[a].parameter->is_array && arguments->each[a].source != SOURCE_ARRAY)
            return false;
    return true;
}

/* The type that all results have in common, or NULL. Without any item it is that of the kernel's last row. */
static const struct item_type *common_type(const struct arguments *arguments, const struct reduction_run *run)
{
    if (arguments->n == 0) {
        int variant = all_are_rows(arguments) ? find_variant(arguments, 0) : -1;
        return arguments->variants->signatures[variant < 0 ? arguments->variants->count - 1 : variant].result;
    }
    const struct item_type *type = signature_at(arguments, run, 0)->result;
    for (Py_ssize_t i = 1; run->all.each && i < arguments->n; i++)
        if (signature_at(arguments, run, i)->result != type)
            return NULL;
    return type;
}

static void store_results(const struct result *result, const struct reduction_run *run, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        const gilfree_number *number = run->all.results + i * GILFREE_RESULTS_MAX;
        if (result->is_stored)
            items_store(&result->items, i, 1, number);
        else
            memcpy(result->view.data + i * result->view.stride, number, (size_t)type_size(result->type));
    }
}

/* Before anything runs: what the results will go into. 1, 0 if that is a list, -1 with an exception. */
static int open_result(const struct arguments *arguments, const struct reduction_run *run, PyObject *out,
                       struct result *result)
{
    const struct item_type *type = arguments->signature->results == 1 ? common_type(arguments, run) : NULL;
    if (!out && (!type || !arguments->model))
        return 0;
    if (!type) {
        PyErr_Format(PyExc_TypeError, "%s: out was given and %s; accepted: out for results of one type", arguments->row->name,
                     arguments->signature->results > 1 ? "each result is a pair" : "the results differ in type");
        return -1;
    }
    struct result_form form = {
        .kernel = arguments->row->name,
        .type = type,
        .n = arguments->n,
        .model = arguments->model,
        .which = arguments->model ? (int)(arguments->model - arguments->each) : 0,
    };
    if (result_open(result, &form, out, RESULT_LIST) < 0)
        return -1;
    for (int a = 0; out && a < arguments->count; a++) {
        const struct argument *argument = &arguments->each[a];
        struct items whole;
        if (!argument->parameter->is_array && argument->source != SOURCE_ARRAY)
            continue;
        for (Py_ssize_t i = 0; argument->source != SOURCE_ARRAY && i < arguments->n; i++)
            if (result_check_overlap(result, form.kernel, a, &argument->each_array[i].items, false) < 0)
                goto refused;
        if (argument->source != SOURCE_ARRAY)
            continue;
        if (array_items(&argument->array, false, &whole) < 0)
            goto refused;
        int overlaps = result_check_overlap(result, form.kernel, a, &whole, false);
        free(whole.dimensions);
        if (overlaps < 0)
            goto refused;
    }
    return 1;
refused:
    result_close(result);
    return -1;
}

PyObject *reduction_map(struct state *state, struct arguments *arguments, PyObject *out, const struct options *options,
                        _Atomic float *cost)
{
    PyObject *taken = NULL;
    struct result *result = memory_resize(NULL, sizeof *result);
    struct reduction_run *run = result ? run_new(arguments) : NULL;
    if (!run) {
        free(result);
        return PyErr_NoMemory();
    }
    int opened = open_result(arguments, run, out, result);
    if (opened >= 0 && run_reductions(state, arguments, run, options, cost) == 0) {
        if (arguments->pending[0]) {
            PyErr_Restore(arguments->pending[0], arguments->pending[1], arguments->pending[2]);
            arguments->pending[0] = arguments->pending[1] = arguments->pending[2] = NULL;
        } else if (opened > 0) {
            store_results(result, run, arguments->n);
            taken = result_take(result, arguments->n);
        } else {
            taken = results_as_list(arguments, run);
        }
    }
    if (opened > 0)
        result_close(result);
    free(result);
    run_free(run);
    return taken;
}
