#version 330 core
layout(location = 0) in vec3 position;

uniform mat4 M;
uniform mat4 V;
uniform mat4 P;

out vec3 world;

void main()
{
    world = (M * vec4(position, 1.0)).xyz;
    gl_Position = P * (V * vec4(world, 1.0));
}
