"""Generate the text of the modules from the schema and the operations. Reads files, but writes none.

Each file in `operations/` gives a module of the same name, with TypedDicts for the data of the response and for the
variables, and an `Operation` that combines them. The modules `inputs`, `enums` and `scalars` have the types that the
operations use. A TypedDict has the name of the GraphQL type that it is a selection of.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    build_ast_schema,
    concat_ast,
    is_input_type,
    is_required_input_field,
    parse,
    print_ast,
    type_from_ast,
    validate,
    validate_schema,
)
from graphql.validation.validate import validate_sdl

from tools.codegen.json_schema import json_schema
from tools.codegen.module_text import GenerationError, Module, enclosed, identifier, snake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "paperspace.gradient"
GENERATED = f"{PACKAGE}._generated"
BUILT_IN_SCALARS = {"Int": "int", "Float": "float", "String": "str", "Boolean": "bool", "ID": "str"}

# The Python type of each custom scalar, as JSON carries it.
CUSTOM_SCALARS = {"DateTime": "str", "UUID": "str"}

# The names of fragments whose fields a server may lack begin with this.
ADDED = "Added"

# Modules that are always generated.
RESERVED = {"inputs", "enums", "scalars"}

Definition = OperationDefinitionNode | FragmentDefinitionNode


def generate(folder: Path) -> dict[str, str]:
    """Return the text of each generated file, by name.

    Raises:
        GenerationError: the schema is not valid, or an operation does not match it.
    """
    schema = read_schema(folder / "schema.graphql")
    documents = read_operations(folder / "operations")
    errors = validate(schema, concat_ast(list(documents.values())))
    if errors:
        raise GenerationError("\n".join(describe(error) for error in errors))
    return {**Generator(schema, documents).modules(), "deployment-spec.schema.json": json_schema(schema)}


def read_schema(path: Path) -> GraphQLSchema:
    """Read the schema, and validate it."""
    document = read_document(path)
    errors = validate_sdl(document)
    if not errors:
        schema = build_ast_schema(document, assume_valid_sdl=True)
        errors = validate_schema(schema)
    if errors:
        raise GenerationError("\n".join(describe(error) for error in errors))
    return schema


def read_document(path: Path) -> DocumentNode:
    """Read and parse a file."""
    try:
        return parse(Source(path.read_text(encoding="utf-8"), str(path)))
    except OSError as error:
        raise GenerationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GenerationError(f"{path}: not UTF-8") from error
    except GraphQLError as error:
        raise GenerationError(describe(error)) from error


def read_operations(folder: Path) -> dict[str, DocumentNode]:
    """Read and parse each file in the folder. Each must have one definition, with the name of the file."""
    documents: dict[str, DocumentNode] = {}
    for path in sorted(folder.glob("*.graphql")):
        document = read_document(path)
        names = [node.name and node.name.value for node in document.definitions if isinstance(node, Definition)]
        if names != [path.stem]:
            raise GenerationError(f"{path}: the file must contain exactly one operation or fragment, named {path.stem}")
        if snake(path.stem) in {snake(other) for other in documents} | RESERVED:
            raise GenerationError(
                f"{path}: another file is generated as {snake(path.stem)}.py already; rename this one"
            )
        documents[path.stem] = document
    if not documents:
        raise GenerationError(f"{folder}: no .graphql files")
    return documents


def describe(error: GraphQLError) -> str:
    """Format an error as `FILE:LINE:COLUMN: reason`, which editors understand."""
    if not error.source or not error.locations:
        return error.message
    line, column = error.locations[0]
    return f"{error.source.name}:{line}:{column}: {error.message}"


class Generator:
    """Builds the modules from validated documents."""

    def __init__(self, schema: GraphQLSchema, documents: dict[str, DocumentNode]) -> None:
        self.schema = schema
        self.documents = documents
        source = "graphql/schema.graphql"
        self.inputs = Module(source, "The input types of the schema that the operations use.")
        self.enums = Module(source, "The enums of the schema: the values that a caller may send.")
        self.scalars = Module(source, "The scalars of the schema, as JSON carries them.")

    def modules(self) -> dict[str, str]:
        """Return the text of each module, by file name."""
        modules = {"__init__": Module("graphql/", "Typed code, generated from the schema and the operations.")}
        for name, document in self.documents.items():
            [definition] = document.definitions
            if isinstance(definition, FragmentDefinitionNode):
                modules[snake(name)] = self.fragment_module(name, definition)
            elif isinstance(definition, OperationDefinitionNode):
                modules[snake(name)] = self.operation_module(name, definition)
        for name, module in {"inputs": self.inputs, "enums": self.enums, "scalars": self.scalars}.items():
            if module.definitions:
                module.definitions = dict(sorted(module.definitions.items()))
                modules[name] = module
        texts = {f"{name}.py": module.render() for name, module in modules.items()}
        for name, text in texts.items():
            compile(text, name, "exec")  # never write code that does not parse
        return texts

    def fragment_module(self, name: str, node: FragmentDefinitionNode) -> Module:
        """Generate the module of a fragment."""
        parent = self.schema.type_map[node.type_condition.name.value]
        module = Module(f"graphql/operations/{name}.graphql", f"The fragment `{name}`: a selection of `{parent}`.")
        shape = identifier(node.type_condition.name.value)
        self.shape(module, parent, node.selection_set, name=shape, total=not name.startswith(ADDED))
        return module

    def operation_module(self, name: str, node: OperationDefinitionNode) -> Module:
        """Generate the module of an operation."""
        doc = f"The operation `{name}`: its variables and the data of its response."
        module = Module(f"graphql/operations/{name}.graphql", doc)
        root = self.schema.get_root_type(node.operation)
        self.shape(module, root, node.selection_set, name=f"{name}Result", doc=f"The data of the response to `{name}`.")
        self.variables(module, name, node)
        module.use(f"{PACKAGE}._shared.operation", "Operation")
        arguments = [f'"{name}"', f"{name}Variables", f"{name}Result"]
        module.define("operation", enclosed(f"{snake(name).upper()} = Operation(", arguments, ")"))
        return module

    def variables(self, module: Module, name: str, node: OperationDefinitionNode) -> None:
        """Define the TypedDict of the variables of an operation."""
        members = []
        for variable in node.variable_definitions or ():
            kind = type_from_ast(self.schema, variable.type)
            if not is_input_type(kind):
                raise GenerationError(f"{module.source}: ${variable.variable.name.value} does not have an input type")
            optional = variable.default_value is not None or not isinstance(kind, GraphQLNonNull)
            annotation = self.input_annotation(module, kind)
            members.append(module.member(variable.variable.name.value, annotation, None, optional=optional))
        module.define_shape(f"{name}Variables", f"The variables of `{name}`.", members)

    def shape(
        self,
        module: Module,
        parent: object,
        selection: SelectionSetNode,
        name: str | None = None,
        doc: str | None = None,
        *,
        total: bool = True,
    ) -> str:
        """Define the TypedDict of a selection, after those inside it; return its name in the module."""
        if not isinstance(parent, GraphQLObjectType):
            raise GenerationError(f"{module.source}: {parent} is an interface or a union, which are not supported")
        fields = [node for node in selection.selections if isinstance(node, FieldNode)]
        spreads = [node for node in selection.selections if isinstance(node, FragmentSpreadNode)]
        if len(fields) + len(spreads) != len(selection.selections):
            raise GenerationError(f"{module.source}: inline fragments are not supported; use a fragment in a file")
        if any(spread.directives for spread in spreads):
            raise GenerationError(f"{module.source}: a directive on a fragment is not supported; put it on the fields")
        self.check_objects(module, parent, selection)
        if name is None and not fields and len(spreads) == 1:
            return module.use(f"{GENERATED}.{snake(spreads[0].name.value)}", identifier(parent.name))
        name = name or identifier(parent.name)
        bases = [self.base(module, parent, spread) for spread in spreads]
        members = []
        for node in fields:
            key = node.alias or node.name
            entry = self.schema.get_field(parent, node.name.value)
            assert entry  # noqa: S101  # the operation is valid
            optional = any(directive.name.value in {"skip", "include"} for directive in node.directives or ())
            annotation = self.output_annotation(module, entry.type, node.selection_set)
            members.append(module.member(key.value, annotation, entry.description, optional=optional))
        module.define_shape(name, doc or parent.description or name, members, bases, total=total)
        return name

    def check_objects(self, module: Module, parent: GraphQLObjectType, selection: SelectionSetNode) -> None:
        """Check that a selection and its fragments select each object once: one type would hide the fields of another."""
        keys = Counter(key for key, _ in set(self.objects(selection)))
        for key in (key for key, number in keys.items() if number > 1):
            raise GenerationError(
                f"{module.source}: two different selections of {key} of {parent}; put all fields of {key} into one of them"
            )

    def objects(self, selection: SelectionSetNode) -> Iterator[tuple[str, str]]:
        """Yield the keys of the objects in a selection, with what is selected in them. Those of its fragments are included."""
        for node in selection.selections:
            if isinstance(node, FieldNode) and node.selection_set:
                yield (node.alias or node.name).value, print_ast(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                [fragment] = self.documents[node.name.value].definitions
                assert isinstance(fragment, FragmentDefinitionNode)  # noqa: S101  # the operation is valid
                yield from self.objects(fragment.selection_set)

    def base(self, module: Module, parent: GraphQLObjectType, spread: FragmentSpreadNode) -> str:
        """Import the TypedDict of a fragment as a base class, under the name of the fragment."""
        fragment = spread.name.value
        module.use(f"{GENERATED}.{snake(fragment)}", f"{identifier(parent.name)} as {identifier(fragment)}")
        return identifier(fragment)

    def output_annotation(
        self, module: Module, kind: GraphQLOutputType, selection: SelectionSetNode | None, tail: str = " | None"
    ) -> str:
        """Annotate a field of a response. Enums are open: a newer server may have more values."""
        match kind:
            case GraphQLNonNull():
                return self.output_annotation(module, kind.of_type, selection, tail="")
            case GraphQLList():
                return f"list[{self.output_annotation(module, kind.of_type, selection)}]{tail}"
            case GraphQLEnumType():
                return f"{self.enum(module, kind)} | str{tail}"
            case GraphQLScalarType():
                return self.scalar(module, kind) + tail
        if selection is None:
            raise GenerationError(f"{module.source}: {kind} needs a selection")
        return self.shape(module, kind, selection) + tail

    def input_annotation(self, module: Module, kind: GraphQLInputType, tail: str = " | None") -> str:
        """Annotate a variable or a field of an input. Enums are closed."""
        match kind:
            case GraphQLNonNull():
                return self.input_annotation(module, kind.of_type, tail="")
            case GraphQLList():
                return f"list[{self.input_annotation(module, kind.of_type)}]{tail}"
            case GraphQLEnumType():
                return self.enum(module, kind) + tail
            case GraphQLScalarType():
                return self.scalar(module, kind) + tail
            case GraphQLInputObjectType():
                return self.input_shape(module, kind) + tail
        raise GenerationError(f"{module.source}: {kind}: unknown kind of type")

    def input_shape(self, module: Module, kind: GraphQLInputObjectType) -> str:
        """Define and import an input type; return its name."""
        shape = identifier(kind.name)
        if shape not in self.inputs.definitions:
            self.inputs.definitions[shape] = ""  # reserves the name: an input may refer to itself
            total = any(is_required_input_field(entry) for entry in kind.fields.values())
            members = []
            for name, entry in kind.fields.items():
                optional = total and not is_required_input_field(entry)
                annotation = self.input_annotation(self.inputs, entry.type)
                members.append(self.inputs.member(name, annotation, entry.description, optional=optional))
            del self.inputs.definitions[shape]
            self.inputs.define_shape(shape, kind.description or kind.name, members, total=total)
        return shape if module is self.inputs else module.use(f"{GENERATED}.inputs", shape)

    def enum(self, module: Module, kind: GraphQLEnumType) -> str:
        """Define and import an enum; return its name."""
        values = [f'"{value}"' for value in kind.values]
        literal = self.enums.use("typing", "Literal")
        self.enums.define_alias(identifier(kind.name), literal, kind.description, values)
        return module.use(f"{GENERATED}.enums", identifier(kind.name))

    def scalar(self, module: Module, kind: GraphQLScalarType) -> str:
        """Return the Python type of a scalar; define and import it if it is a custom scalar."""
        if kind.name in BUILT_IN_SCALARS:
            return BUILT_IN_SCALARS[kind.name]
        if kind.name not in CUSTOM_SCALARS:
            table = "CUSTOM_SCALARS in tools/codegen/typegen.py"
            raise GenerationError(f"{module.source}: unknown scalar {kind.name}; add its Python type to {table}")
        self.scalars.define_alias(kind.name, CUSTOM_SCALARS[kind.name], kind.description)
        return module.use(f"{GENERATED}.scalars", kind.name)
